/** Makes elements; the whole of what the page needs of a framework. */

type Child = Node | string;
type Attributes = { [name: string]: string | ((event: Event) => void) };

/** An element: functions among the attributes listen to the event they are named after. */
export function element(tag: string, attributes: Attributes = {}, ...children: Child[]): HTMLElement {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') made.addEventListener(name, value);
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** Writes text where it differs, so that a reader's selection and the browser's layout stay as they are. */
export function write(target: HTMLElement, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}

/** The element of the page with this id. */
export function slot(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
}
