/**
 * A mixin for Vue 2, also under uni-app: `tautline/vue2`. Thin: a line is made once, outside of components. Vue 2.7 has the
 * composables of `tautline/vue`, too.
 */

import type { App } from './app.js';
import { page, type PageLine } from './page.js';
import type { Tautline } from './tautline.js';
import type { StateName } from './types.js';

/** What the mixin gives a component. */
export interface LineMembers<A extends App = App> {
  /** `subscribe` and `on`, which end with the component; with `{ while: 'shown' }` a channel rests while it hides. */
  line: PageLine<A>;
  /** What the line is doing; renders again when it changes. */
  lineState: StateName;
}

/** `mixins: [lineMixin(line)]`; a function is asked when a component is made. */
export function lineMixin<A extends App>(
  line: Tautline<A> | (() => Tautline<A>),
): { data(): { lineState: StateName } } {
  type It = LineMembers<A>;
  const get = (): Tautline<A> => (typeof line === 'function' ? line() : line);
  function show(this: It): void {
    this.line.show();
  }
  function hide(this: It): void {
    this.line.hide();
  }
  const mixin = {
    data: () => ({ lineState: get().state }),
    beforeCreate(this: It) {
      this.line = page(get());
    },
    created(this: It) {
      this.line.on('state', ({ state }) => {
        this.lineState = state;
      });
    },
    // Of a page of uni-app's, and of a component under `keep-alive`.
    onShow: show,
    onHide: hide,
    activated: show,
    deactivated: hide,
    beforeDestroy(this: It) {
      this.line.unload();
    },
  };
  return mixin;
}
