/** What a client has received, and a way to wait for more. */

export class Book {
  /** Texts in the order of arrival. */
  readonly texts: string[] = [];
  opens = 0;
  private waiting: (() => void)[] = [];

  opened(): void {
    this.opens++;
    this.look();
  }

  received(text: unknown): void {
    this.texts.push(String(text));
    this.look();
  }

  count(text: string): number {
    return this.texts.filter((other) => other === text).length;
  }

  /** The numbers that were pushed, in the order in which each arrived first. */
  pushes(): number[] {
    const numbers = this.texts.map((text) => /^\{"push":(\d+)\}$/.exec(text)?.[1]).filter((found) => found !== undefined);
    return [...new Set(numbers.map(Number))];
  }

  /** Waits until a condition holds; it is looked at whenever something happens. */
  async until(what: string, holds: () => boolean): Promise<void> {
    const deadline = setTimeout(() => {
      const last = this.texts.slice(-10).join('\n  ');
      throw new Error(`never: ${what}; opened ${this.opens} times, received last:\n  ${last}`);
    }, 60_000);
    while (!holds()) await new Promise<void>((resolve) => this.waiting.push(resolve));
    clearTimeout(deadline);
  }

  private look(): void {
    this.waiting.splice(0).forEach((resolve) => resolve());
  }
}
