/** A package asks for a window when it is loaded: this is imported before it. */

Object.assign(globalThis, { window: globalThis });
