/**
 * React Native: the WebSocket that it has, with the app's life cycle and the network as the app hands them in.
 */

import type { Host } from '../host.js';
import { assign } from '../assign.js';
import { causeOf } from './causes.js';
import { browserHost, type BrowserSocket, type BrowserWindow } from './browser.js';

/** `AppState` of `react-native`, as far as it is used. */
export interface NativeAppState {
  readonly currentState?: string | null;
  /** Since 0.65 the result takes the listener off again. */
  addEventListener(event: 'change', listener: (state: string) => void): { remove(): void } | void;
  removeEventListener?(event: 'change', listener: (state: string) => void): void;
}

/** `NetInfo` of `@react-native-community/netinfo`, as far as it is used. */
export interface NativeNetInfo {
  addEventListener(listener: (state: object) => void): () => void;
}

/** What React Native and its packages have, where the app uses them. */
export interface NativeParts {
  AppState?: NativeAppState;
  NetInfo?: NativeNetInfo;
  /** @default the global one */
  WebSocket?: new (url: string, protocols: string[]) => Omit<BrowserSocket, 'binaryType'>;
}

interface NetInfoState {
  type?: string;
  isConnected?: boolean | null;
  details?: { cellularGeneration?: string | null } | null;
}

declare const WebSocket: BrowserWindow['WebSocket'] | undefined;

/** A host over React Native. */
export function reactNativeHost(parts: NativeParts = {}): Host {
  const { AppState, NetInfo } = parts;
  const inner = browserHost(
    {
      WebSocket: (parts.WebSocket ||
        (typeof WebSocket !== 'undefined' && WebSocket)) as BrowserWindow['WebSocket'],
    },
    'react-native',
    causeOf,
  );

  const host: Host = assign(assign({}, inner), {
    // The system freezes apps in the background, and their sockets die unnoticed.
    background: !!AppState,
    watch(tell) {
      const ends: (() => void)[] = [];
      // `inactive` is a moment on the way, or a call that comes in.
      function onState(state: string | null | undefined): void {
        if (state === 'background') tell({ type: 'hide' });
        else if (state === 'active') tell({ type: 'show' });
      }
      if (AppState) {
        const listening = AppState.addEventListener('change', onState);
        ends.push(() => {
          if (listening) listening.remove();
          else if (AppState.removeEventListener) AppState.removeEventListener('change', onState);
        });
        // A push may have started it unseen.
        if (AppState.currentState === 'background') onState('background');
      }
      if (NetInfo) {
        ends.push(
          NetInfo.addEventListener(({ type, isConnected, details }: NetInfoState) => {
            // Until it knows, it says null, and `unknown`.
            const generation = (details && details.cellularGeneration) || undefined;
            tell({
              type: 'network',
              online: isConnected !== false,
              kind: type === 'unknown' ? undefined : type,
              weak: generation === '2g',
            });
          }),
        );
      }
      return () => ends.forEach((end) => end());
    },
  } as Partial<Host>);
  return host;
}
