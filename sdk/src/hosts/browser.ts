/** Browsers: WebSocket, page visibility, and what the browser says about the network. */

import type { Host, Socket, Tell } from '../host.js';
import type { DropCause } from '../types.js';
import { now, setTimer } from './clock.js';
import type { Callbacks } from './mini-api.js';
import { noop } from './noop.js';

/** The part of a WebSocket that is used. */
export interface BrowserSocket {
  binaryType: string;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  send(data: string | ArrayBuffer): void;
  close(code?: number, reason?: string): void;
}

interface Target {
  addEventListener(name: string, listener: () => void): void;
  removeEventListener(name: string, listener: () => void): void;
}

/** The part of a window that is used; a worker or a server has less of it. */
export interface BrowserWindow extends Partial<Target> {
  WebSocket: new (url: string, protocols: string[]) => BrowserSocket;
  document?: Target & { visibilityState?: string };
  navigator?: { onLine?: boolean; connection?: Target & { type?: string; effectiveType?: string } };
}

/**
 * A host over `window`, or over anything with a `WebSocket` like a worker. `causeIn` reads the words of errors, which browsers
 * have none of: what they say of an address they keep to themselves.
 */
export function browserHost(
  window: BrowserWindow,
  platform = 'browser',
  causeIn?: (words: string, url: string) => DropCause | undefined,
): Host {
  const { document, navigator } = window;
  const connection = navigator && navigator.connection;

  function online(): boolean {
    return !navigator || navigator.onLine !== false;
  }

  /** As a mini program would. */
  function answer(callbacks: Callbacks = {}, error?: unknown): void {
    const { success = noop, fail = noop, complete = noop } = callbacks;
    if (error) fail({ errMsg: String(error) });
    else success({ errMsg: 'ok' });
    complete();
  }

  function dial(
    url: string,
    protocol: string | undefined,
    socket: number,
    tell: Tell,
    more?: { protocols?: string[] } & Callbacks,
  ): Socket {
    let it: BrowserSocket;
    /** What an error has said, which it does outside of browsers. */
    let words = '';
    try {
      it = new window.WebSocket(url, protocol ? [protocol] : (more && more.protocols) || []);
    } catch (error) {
      // Not a URL, or plain `ws` from a secure page.
      answer(more, error);
      tell({ type: 'socket_closed', socket, reason: String(error), cause: 'refused' });
      return {
        send: (_, callbacks) => answer(callbacks, error),
        close: (_, _2, callbacks) => answer(callbacks, error),
      };
    }
    answer(more);
    // The default hands out blobs, which cannot be read in order.
    it.binaryType = 'arraybuffer';
    it.onopen = () => tell({ type: 'socket_open', socket });
    // Anything but text is not of the protocol, which is for the session to say.
    it.onmessage = ({ data }) => tell({ type: 'socket_message', socket, text: String(data), data });
    // A close follows. Without a listener, Node's `ws` throws the error out of the process.
    it.onerror = (event: { message?: string } | undefined) => {
      words = (event && event.message) || '';
    };
    it.onclose = ({ code, reason }) => {
      // With any other code the reason is the server's, which may say what it likes.
      const own = (code === 1006 && reason) || words;
      tell({
        type: 'socket_closed',
        socket,
        code,
        reason: reason || words,
        cause: online() ? causeIn && causeIn(own, url) : 'network_lost',
      });
    };
    return {
      send(data, callbacks) {
        try {
          it.send(data);
          answer(callbacks);
        } catch (error) {
          // It is not open yet.
          answer(callbacks, error);
        }
      },
      close(code, reason, callbacks) {
        answer(callbacks);
        try {
          it.close(code, reason);
        } catch (_) {
          // Pages may only say 1000, or 3000 and above, with a short reason.
          it.close();
        }
      },
      task: () => it,
    };
  }

  function watch(tell: Tell): () => void {
    function show(): void {
      tell({ type: 'show' });
    }
    function hide(): void {
      tell({ type: 'hide' });
    }
    function onVisibility(): void {
      if (document!.visibilityState === 'hidden') hide();
      else show();
    }
    function onNetwork(): void {
      const { type: kind, effectiveType } = connection || ({} as Partial<NonNullable<typeof connection>>);
      tell({ type: 'network', online: online(), kind, weak: /2g/.test(effectiveType!) });
    }
    function hooks(verb: 'addEventListener' | 'removeEventListener'): void {
      function hook(target: Partial<Target> | undefined, name: string, listener: () => void): void {
        if (target && target[verb]) target[verb](name, listener);
      }
      hook(document, 'visibilitychange', onVisibility);
      hook(document, 'freeze', hide);
      hook(document, 'resume', show);
      hook(window, 'pagehide', hide);
      hook(window, 'pageshow', show);
      hook(window, 'online', onNetwork);
      hook(window, 'offline', onNetwork);
      hook(connection, 'change', onNetwork);
    }
    hooks('addEventListener');
    onNetwork();
    return () => hooks('removeEventListener');
  }

  return { platform, slots: 2, background: false, dial, now, setTimer, watch };
}

/** A host for Node, over its own `WebSocket` (from version 22) or that of the package `ws`. */
export function nodeHost(WebSocket: BrowserWindow['WebSocket']): Host {
  return browserHost({ WebSocket }, 'node');
}
