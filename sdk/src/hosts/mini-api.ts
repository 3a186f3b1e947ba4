/** The part of a mini program's global object that is used, in types that every vendor's own typings fit. */

import { noop } from './noop.js';

/** All three are always passed: with one left out, some versions return a promise, or throw. */
export interface Callbacks<T = unknown> {
  success?(result: T): void;
  fail?(error: MiniError): void;
  complete?(): void;
}

/** An error, in WeChat's words or in Alipay's. */
export interface MiniError {
  errMsg?: string;
  errorMessage?: string;
  error?: number;
}

/** How a socket closed, as far as the host says. */
export interface MiniClose {
  code?: number | string;
  reason?: string;
}

/** What a host says about the network. */
export interface MiniNetwork {
  isConnected?: boolean;
  networkType?: string;
  weakNet?: boolean;
}

/** The part of a SocketTask that is used. */
export interface MiniTask {
  send(options: { data: string | ArrayBuffer } & Callbacks): void;
  close(options: { code?: number; reason?: string } & Callbacks): void;
  onOpen(listener: () => void): void;
  onMessage(listener: (message: { data: unknown }) => void): void;
  onError(listener: (error: MiniError) => void): void;
  onClose(listener: (close: MiniClose) => void): void;
  readonly readyState?: number;
  /** Of the one socket of an app: the dial has failed, and there is nothing to close. */
  over?(): void;
}

/** What older versions and poorer hosts lack is optional. */
export interface MiniApi {
  // Their types differ in what none of them does: some promise a promise, some nothing.
  connectSocket(options: object): unknown;
  sendSocketMessage?(options: object): unknown;
  closeSocket?(options: object): unknown;
  onSocketOpen?(listener: () => void): void;
  onSocketMessage?(listener: (message: { data: unknown }) => void): void;
  onSocketError?(listener: (error: MiniError) => void): void;
  onSocketClose?(listener: (close: MiniClose) => void): void;
  onAppShow?(listener: () => void): void;
  onShow?(listener: () => void): void;
  getNetworkType?(options: object): unknown;
}

/** `options` with all three callbacks: those that are there stay, and `fail` hears of failures, too. */
export function withCallbacks<O extends object>(
  options: O & Callbacks,
  fail: (error: MiniError) => void,
): O & Required<Callbacks> {
  const all = options as O & Required<Callbacks>;
  const own = all.fail;
  all.success = all.success || noop;
  all.complete = all.complete || noop;
  all.fail = (error) => {
    fail(error);
    if (own) own(error);
  };
  return all;
}
