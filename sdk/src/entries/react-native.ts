/** A line for React Native, and for nothing else: `tautline/react-native`. */

import type { App } from '../app.js';
import { reactNativeHost } from '../hosts/react-native.js';
import { lineOn, type Tautline as Line } from '../tautline.js';

declare const WebSocket: unknown;

export { reactNativeHost };
export { TautlineError } from '../error.js';

/** A line over the global `WebSocket`; with `host: reactNativeHost({ AppState, NetInfo })` it knows of life cycle and network. */
export const Tautline = /*#__PURE__*/ lineOn(() =>
  typeof WebSocket !== 'undefined' ? reactNativeHost() : undefined,
);
export type Tautline<A extends App = App> = Line<A>;

export type { NativeAppState, NativeNetInfo, NativeParts } from '../hosts/react-native.js';
export * from './types.js';
