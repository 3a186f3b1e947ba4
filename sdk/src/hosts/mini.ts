/**
 * Mini programs and mini games: one implementation for all hosts that have WeChat's shape, over callbacks that are not
 * trusted. What differs between them is a `Dialect`; the file of each host says its own.
 *
 * Every odd line here answers something a host was seen to do; `test/hosts` names each.
 */

import type { Base64, Host, Socket, Tell } from '../host.js';
import { assign } from '../assign.js';
import type { DropCause } from '../types.js';
import { causeOf, messageOf } from './causes.js';
import { now, setTimer } from './clock.js';
import type { GlobalSocket } from './global-socket.js';
import { withCallbacks, type MiniApi, type MiniClose, type MiniError, type MiniTask } from './mini-api.js';
import { hookShow, watchMini } from './mini-watch.js';
import { noop } from './noop.js';
import { sharedOf } from './shared.js';

/** How a host differs from WeChat. */
export interface Dialect {
  platform: string;
  /** How many sockets the line may use at once. @default 2: the hosts allow five, and these leave the rest to the app */
  slots?: number;
  /** The socket where `connectSocket` returns none: `globalSocket`. */
  taskless?(api: MiniApi): GlobalSocket;
  /** Options that every dial needs. */
  dial?: object;
  /** What is sent, in the host's own form. @default `{ data }` */
  pack?(data: string | ArrayBuffer, base64: Base64 | undefined): { data: string | ArrayBuffer };
  /** The text or the bytes of a message. @default its `data` */
  unpack?(message: { data: unknown }, base64: Base64 | undefined): unknown;
  /** The cause in an error, where its number says more than its words. */
  causeOf?(error: MiniError): DropCause | undefined;
}

/** The task in what `connectSocket` gave: itself, or in a box. */
function taskOf(made: unknown): MiniTask | undefined {
  const box = made as (Partial<MiniTask> & { socketTask?: Partial<MiniTask> }) | undefined;
  const it = box && (box.socketTask || box);
  return it && it.onMessage ? (it as MiniTask) : undefined;
}

/** A host over the global object of a mini program. */
export function miniHost(api: MiniApi, dialect: Dialect): Host {
  /**
   * How to interrupt each socket that has not ended, of all lines. The listener cannot be taken off again, and does not say
   * whose socket it means; but of an app in the background the host interrupts all, and sometimes no task hears of it.
   */
  const live = sharedOf(api, 'tautlineLive', () => {
    const all: ((close: MiniClose) => void)[] = [];
    if (api.onSocketClose) {
      api.onSocketClose((close) => {
        if (causeOf(messageOf(close)) === 'background') all.slice().forEach((interrupt) => interrupt(close));
      });
    }
    return all;
  });
  const one = dialect.taskless && dialect.taskless(api);
  /** Closes that the host has refused, as it does in the background: the sockets live on, and count. */
  let refused: (() => void)[] = [];
  function retryCloses(): void {
    const closes = refused;
    refused = [];
    hookShow(api, 'off', retryCloses);
    closes.forEach((close) => close());
  }

  function dial(
    url: string,
    protocol: string | undefined,
    socket: number,
    tell: Tell,
    more?: object,
    base64?: Base64,
  ): Socket {
    let task: MiniTask | undefined;
    let opened: boolean | undefined;
    let hungUp: boolean | undefined;
    /** An error told that it is lost; the host said that it is gone, or it never was. */
    let lost: boolean | undefined;
    let gone: boolean | undefined;

    function told(event: MiniError | MiniClose, code?: number | string): void {
      const reason = messageOf(event);
      const cause = (dialect.causeOf && dialect.causeOf((event || {}) as MiniError)) || causeOf(reason, url);
      const numeric = code === undefined ? code : +code;
      tell({ type: 'socket_closed', socket, code: numeric, reason, cause, held: !gone || undefined, event });
    }
    /** Often an error is all that comes. The host counts the socket until it was closed and has said so. */
    function lose(error: MiniError): void {
      if (lost || gone) return;
      lost = true;
      told(error);
    }
    function end(event: MiniClose, isError?: boolean): void {
      if (gone) return;
      gone = true;
      live.splice(live.indexOf(end), 1);
      // First of all: whoever is told may dial at once, and a task that is not closed keeps its slot.
      if (!hungUp) close(1000, '');
      // Called with nothing at all by some versions, and with a number as a text by others.
      told(event, isError || !event ? undefined : event.code);
    }
    function failed(error: MiniError): void {
      // After `open` a failure contradicts itself; if the socket is dead, the heartbeat finds out.
      if (opened) return;
      if (task && task.over) task.over();
      end(error as MiniClose, true);
    }
    function close(code: number, reason: string, callbacks?: object): void {
      hungUp = true;
      if (!task) return;
      attempt(() => task!.close(withCallbacks(assign({ code, reason }, callbacks), onRefused)), onRefused);
      function onRefused(error: MiniError): void {
        if (causeOf(messageOf(error)) === 'background') {
          if (gone) return;
          if (!refused.length) hookShow(api, 'on', retryCloses);
          refused.push(() => gone || close(code, reason));
        }
        // It fails where the task was gone all along: then no other event will say so. While it connects it fails as well, and
        // the host goes on connecting.
        else if (opened || lost) end(error as MiniClose, true);
      }
    }
    function attempt(act: () => void, otherwise: (error: MiniError) => void): void {
      try {
        act();
      } catch (error) {
        otherwise(error as MiniError);
      }
    }

    function connect(): void {
      const options = { url, protocols: protocol ? [protocol] : undefined, tcpNoDelay: true };
      const made = api.connectSocket(withCallbacks(assign(assign(options, dialect.dial), more), failed));
      const it = taskOf(made);
      // In this same tick: a listener that is put on later misses the event. Where only a promise is made, and no global event
      // tells either, it cannot be helped.
      if (it) listen(it);
      else if (one && api.onSocketOpen) {
        if (!gone) listen(one.task());
      } else if (made && (made as PromiseLike<MiniTask>).then) {
        (made as PromiseLike<MiniTask>).then(
          (late) => (taskOf(late) ? listen(taskOf(late)!) : late.close({})),
          failed,
        );
      }
      // Without a task it is over once the host says why, or the line has waited long enough.
    }
    function listen(it: MiniTask): void {
      task = it;
      it.onOpen(onOpen);
      it.onMessage((message) => {
        const data = dialect.unpack ? dialect.unpack(message, base64) : message.data;
        // As text, bytes are no packet: which is for the session to say.
        tell({ type: 'socket_message', socket, text: String(data), data, event: message });
      });
      it.onError(lose);
      it.onClose(end);
      if (it.readyState === 1) onOpen();
      else if (hungUp) close(1000, '');
    }
    function onOpen(event?: unknown): void {
      opened = true;
      if (hungUp) close(1000, '');
      else tell({ type: 'socket_open', socket, event });
    }

    live.push(end);
    retryCloses();
    if (one && one.busy()) failed({ errMsg: 'the one socket already exists, in another line' });
    else attempt(connect, failed);
    return {
      send: (data, callbacks) => {
        const packed = dialect.pack ? dialect.pack(data, base64) : { data };
        const failed = callbacks ? noop : lose;
        attempt(() => task!.send(withCallbacks(assign(assign({}, callbacks), packed), failed)), failed);
      },
      close,
      task: () => task,
    };
  }

  return {
    platform: dialect.platform,
    slots: dialect.slots || 2,
    background: true,
    dial,
    now,
    setTimer,
    watch: (tell) => watchMini(api, tell),
  };
}
