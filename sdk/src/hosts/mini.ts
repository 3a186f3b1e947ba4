/**
 * Mini programs and mini games: one implementation for all hosts that have WeChat's shape, over callbacks that are not
 * trusted. What differs between them is a `Dialect`; the file of each host says its own.
 *
 * Every odd line here answers something a host was seen to do; `test/hosts` names each.
 */

import type { Base64, Host, Socket, Tell } from '../host.js';
import { merged } from '../merged.js';
import type { DropCause } from '../vocabulary.js';
import { causeOf } from './causes.js';
import { now, setTimer } from './clock.js';
import { withCallbacks, type MiniApi, type MiniClose, type MiniError, type MiniTask } from './mini-api.js';
import { watchMini } from './mini-watch.js';
import { nothing } from './nothing.js';

/** How a host differs from WeChat. */
export interface Dialect {
  platform: string;
  /** How many sockets the line may use at once. @default 2: the hosts allow five, and these leave the rest to the app */
  slots?: number;
  /** Makes tasks where `connectSocket` returns none: `globalSocket`. */
  taskless?(api: MiniApi): () => MiniTask;
  /** Options that every dial needs. */
  dial?: object;
  /** What is sent, in the host's own form. @default `{ data }` */
  pack?(data: string | ArrayBuffer, base64: Base64 | undefined): { data: string | ArrayBuffer };
  /** The text or the bytes of a message. @default its `data` */
  unpack?(message: { data: unknown }, base64: Base64 | undefined): unknown;
  /** The cause in an error, where its number says more than its words. */
  causeOf?(error: MiniError): DropCause | undefined;
}

/** A host over the global object of a mini program. */
export function miniHost(api: MiniApi, dialect: Dialect): Host {
  /** Ends the newest socket; those before it are closing anyway. */
  let endNewest: (close: MiniClose) => void = nothing;
  const taskless = dialect.taskless && dialect.taskless(api);
  // There is no way to take this listener off again. It does not say whose socket it means; but of an app in the
  // background the host interrupts all, and sometimes no task hears of it.
  if (api.onSocketClose) {
    api.onSocketClose((close) => {
      if (causeOf(close && close.reason) === 'background') endNewest(close);
    });
  }

  function dial(url: string, protocol: string | undefined, socket: number, tell: Tell, more?: object, base64?: Base64): Socket {
    let task: MiniTask;
    let opened: boolean | undefined;
    let hungUp: boolean | undefined;
    let ended: boolean | undefined;

    // Called with nothing at all by some versions, and with a number as a text by others.
    function end(words?: MiniClose, known?: DropCause): void {
      const { code, reason: said } = words || {};
      const reason = said || '';
      if (ended) return;
      ended = true;
      tell({ type: 'socket_closed', socket, code: code === undefined ? code : +code, reason, cause: known || causeOf(reason) });
      // Often an error is all that comes, and a task that is not closed keeps its slot.
      close(1000, '');
    }
    function failed(error?: MiniError): void {
      const it = error || {};
      const reason = it.errMsg || it.errorMessage || String(it.error || error || '');
      end({ reason }, dialect.causeOf && dialect.causeOf(it));
    }
    function close(code: number, reason: string): void {
      hungUp = true;
      // It fails where the task was gone all along: then no other event will say so.
      attempt(() => task.close(withCallbacks({ code, reason }, failed)));
    }
    function attempt(act: () => void): void {
      try {
        act();
      } catch (error) {
        failed(error as MiniError);
      }
    }

    endNewest = end;
    attempt(() => {
      const options = { url, protocols: protocol ? [protocol] : undefined, tcpNoDelay: true };
      // After `open` a failure contradicts itself; if the socket is dead, the heartbeat finds out.
      const made = api.connectSocket(
        withCallbacks(merged(merged(options, dialect.dial), more), (error) => opened || failed(error)),
      );
      // In this same tick: a listener that is put on later misses the event. Where only a promise is made, and no global event
      // tells either, it cannot be helped.
      if (!api.onSocketOpen && made && made.then) made.then(listen, failed);
      else listen(made && made.onMessage ? made : taskless!());
    });
    function listen(it: MiniTask): void {
      task = it;
      task.onOpen(onOpen);
      task.onMessage((message) => {
        const data = dialect.unpack ? dialect.unpack(message, base64) : message.data;
        // As text, bytes are no packet: which is for the session to say.
        tell({ type: 'socket_message', socket, text: String(data), data });
      });
      task.onError(failed);
      task.onClose(end);
      if (task.readyState === 1) onOpen();
    }
    function onOpen(): void {
      opened = true;
      // A close while connecting fails, and the host goes on connecting.
      if (hungUp) close(1000, '');
      else tell({ type: 'socket_open', socket });
    }
    return {
      send: (data) => attempt(() => task.send(withCallbacks(dialect.pack ? dialect.pack(data, base64) : { data }, failed))),
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
