/** Alipay: sockets that must be asked for by the plural, messages in a box, bytes as base64, numbers for errors. */

import type { Host } from '../host.js';
import type { DropCause } from '../types.js';
import { globalSocket } from './global-socket.js';
import type { MiniApi } from './mini-api.js';
import { miniHost } from './mini.js';

interface Message {
  data: unknown;
  isBuffer?: boolean;
}

/**
 * What the numbers of `my.connectSocket` and `my.onSocketError` mean, where they mean something. 2 had another meaning in
 * each version: its words say. 8 and 20 are said of an address without TLS.
 */
const CAUSES: { [error: number]: DropCause } = {
  3: 'slots_exhausted',
  4: 'refused',
  5: 'refused',
  6: 'connect_timeout',
  7: 'tls_failed',
  8: 'refused',
  9: 'protocol_error',
  10: 'network_lost',
  11: 'network_lost',
  20: 'refused',
  50: 'network_lost',
};

/** A host over `my`. */
export function alipayHost(my: MiniApi): Host {
  return miniHost(my, {
    platform: 'alipay',
    taskless: globalSocket,
    // Without it, one socket serves the whole app, and `connectSocket` returns nothing.
    dial: { multiple: true },
    pack: (data, base64) =>
      typeof data === 'string' ? { data } : { data: base64!.textOf_(data), isBuffer: true },
    unpack(message, base64) {
      // A task's message is in a box, that of the one global socket is not.
      const box = message.data as Message;
      const { data, isBuffer } = box && box.data !== undefined ? box : (message as Message);
      // Who sends no bytes expects none: what is left as it came is no packet either.
      return isBuffer && base64 && typeof data === 'string' ? base64.bytesOf_(data) : data;
    },
    causeOf: ({ error }) => CAUSES[error!],
  });
}
