/** What `tautline/heartbeat` takes and gives, by the names of the package that it replaces. */

import type { Host } from '../host.js';

/** The options, as the other package names them; those below the line are new. */
export interface HeartbeatOptions {
  /** `wx`, `my`, `swan`, `tt`, `Taro`, `uni`, …. @default found out */
  miniprogram?: object;
  /** What the host's `connectSocket` takes. */
  connectSocketParams: { url: string; protocols?: string[]; [more: string]: unknown };
  /** A heartbeat is sent when nothing came for so long. Milliseconds. @default 15000 */
  pingTimeout?: number;
  /** How long an answer to it may take; any message is one. Milliseconds. @default 10000 */
  pongTimeout?: number;
  /** From a loss to the next dial. Milliseconds. @default 2000 */
  reconnectTimeout?: number;
  /** What is sent as a heartbeat. @default "heartbeat" */
  pingMsg?: string | ArrayBuffer;
  /** Dials in a row that may fail; null: any number. @default null */
  repeatLimit?: number | null;

  /** How long a connect may take. Milliseconds. @default 10000 */
  connectTimeout?: number;
  /** Where the sockets are, in place of `miniprogram`. */
  host?: Host;
}

/** What `send` and `close` take. */
export interface HeartbeatCallbacks {
  success?(result: object): void;
  fail?(error: { errMsg: string }): void;
  complete?(result?: object): void;
}

/** One connection that comes back by itself. Hooks are set, not added. */
export interface HeartbeatTask {
  opts: HeartbeatOptions;
  /** The host's own task of the present connection; what is put on it is lost with it. */
  // As the package that this replaces declares it.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  readonly socketTask: any;
  onOpen: (event: object) => void;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  onMessage: (event: { data: any }) => void;
  onError: (event: { errMsg: string }) => void;
  onClose: (event: { code?: number; reason: string }) => void;
  onReconnect: () => void;
  /** Dials so far that failed in a row. */
  repeat: number;
  /** Connects anew at once. */
  createWebSocket(): void;
  /** Plans another dial, unless one is planned or the app has closed it. */
  reconnect(): void;
  /** Begins the time to the next heartbeat anew; `heartReset` stops it. */
  heartCheck(): void;
  heartStart(): void;
  heartReset(): void;
  send(message: { data: string | ArrayBuffer } & HeartbeatCallbacks): void;
  /** Closes, and does not come back. */
  close(options?: { code?: number; reason?: string } & HeartbeatCallbacks): void;
}
