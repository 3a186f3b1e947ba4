/**
 * What a line needs from the place it runs in. One small file per host in `hosts/`; a test writes its own.
 *
 * A host reports facts, in the session's own words, and never decides. None of its facts is trusted to come: not
 * `socket_closed`, not `hide`, not `network`; and what comes twice or late does no harm.
 */

import type { Input } from './types.js';

/** What a host tells, with its own `event` beside it. A message also comes as the host gave it: text, or bytes. */
export type Fact =
  | Extract<Input, { type: 'show' | 'hide' | 'network' }>
  | (Extract<Input, { type: 'socket_open' | 'socket_closed' }> & { event?: unknown })
  | (Extract<Input, { type: 'socket_message' }> & { data?: unknown; event?: unknown });

/** Takes a fact. */
export type Tell = (fact: Fact) => void;

/** One WebSocket. Neither method ever throws. */
export interface Socket {
  /** With `callbacks` (`success`, `fail`, `complete`) what becomes of it is told to them, and a failure to nobody else. */
  send(data: string | ArrayBuffer, callbacks?: object): void;
  close(code: number, reason: string, callbacks?: object): void;
  /** The host's own object, for those who know it: a SocketTask, a WebSocket. */
  task?(): unknown;
}

/**
 * Bytes as text, for hosts that carry them so. It is lent to `dial` by those who send bytes, since most lines never do: a
 * line in json need not load it.
 */
export interface Base64 {
  /** @internal */
  textOf_: (bytes: ArrayBuffer) => string;
  /** @internal */
  bytesOf_: (text: string) => ArrayBuffer;
}

/** A place that a line can run in. */
export interface Host {
  /** Reported to the gateway: `browser`, `wechat`, `alipay`, … */
  readonly platform: string;
  /** How many sockets may exist at once: the default of the option `slots`. */
  readonly slots: number;
  /** Whether the host cuts connections of an app in the background: the default of the option `background`. */
  readonly background: boolean;
  /**
   * Opens a WebSocket, and tells of it under the number `socket`. Never throws: what goes wrong is a `socket_closed`, with
   * the host's raw code and reason, and with a `cause` where its words mean something. `more` are options of the host's
   * own that this one connection wants; `base64` is there where bytes may be sent.
   */
  dial(
    url: string,
    protocol: string | undefined,
    socket: number,
    tell: Tell,
    more?: object,
    base64?: Base64,
  ): Socket;
  /** Wall clock, in milliseconds. */
  now(): number;
  /** Calls `fire` once after `delayMs`, soon where that is below 0; the result takes it back. */
  setTimer(delayMs: number, fire: () => void): () => void;
  /** Tells about the app and the network until the result is called: every change, and the network at start. */
  watch(tell: Tell): () => void;
}
