/**
 * The last things that happened to a line, printable: `tautline/debug`. So that "why did it drop?" has an answer where it
 * happened, in the hands of a user.
 *
 * Neither what the app sends and receives nor its login is kept: only what became of it. It may be shown, or uploaded.
 */

import { wholeOf } from './inputs.js';
import type { TautlineOptions } from './options.js';

/** One thing that happened. */
export interface DebugEvent {
  /** In wall milliseconds. */
  at: number;
  /** What was told to the session or what it wanted: `socket_closed`, `dial`, `drop`, … */
  type: string;
  /** Its circumstances: cause, code, socket, channel, …; of a message, its packets. */
  [circumstance: string]: unknown;
}

/** The last events of a line. */
export interface DebugRing {
  /** The option `trace` of the line. */
  readonly trace: NonNullable<TautlineOptions['trace']>;
  /** The events, the oldest first. */
  events(): DebugEvent[];
  /** The events as text, one a line. */
  print(): string;
}

/** What is kept. Anything else may be private. */
const KEPT = [
  'socket',
  'code',
  'reason',
  'message',
  'cause',
  'online',
  'kind',
  'weak',
  'state',
  'retry_at',
  'channel',
  'offset',
  'after',
  'recovering',
  'redelivered',
  'request',
  'verb',
  'ttl_ms',
  'renew',
  'resumed',
  'node',
  'offline_ms',
];

const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/**
 * The trace id of a request, in the logs of the gateway and of the back end that its hooks ask: the first 8 bytes of the
 * session's id (`welcome`), and the id that the request has on the wire.
 */
export function traceId(session: string, id: number): string {
  let hex = '';
  let bits = 0;
  let count = 0;
  session
    .slice(0, 11)
    .split('')
    .forEach((letter) => {
      bits = ((bits & 15) << 6) | BASE64URL.indexOf(letter);
      for (count += 6; count >= 4; hex += ((bits >> count) & 15).toString(16)) count -= 4;
    });
  return hex.slice(0, 16) + ('0000000000000000' + id.toString(16)).slice(-16);
}

/** Keeps the last `size` events. @default 200 */
export function debugRing(size?: number): DebugRing {
  const most = wholeOf(size, 0) || 200;
  const events: DebugEvent[] = [];
  let next = 0;
  let session = '';

  function inOrder(): DebugEvent[] {
    return events.slice(next).concat(events.slice(0, next));
  }
  return {
    trace(what) {
      const event = (events[next] = noted(what as unknown as { type: string; [name: string]: unknown }));
      if (what.type === 'welcome') session = what.session;
      const [, refused = ''] = /\berror (\d+)/.exec(String(event['packets'])) || [];
      if (refused) event['trace'] = traceId(session, +refused);
      next = (next + 1) % most;
    },
    events: inOrder,
    print: () => inOrder().map(printed).join('\n'),
  };
}

function noted(what: { type: string; [name: string]: unknown }): DebugEvent {
  const event: DebugEvent = { at: Date.now(), type: what.type };
  KEPT.forEach((name) => {
    if (what[name] !== undefined) event[name] = what[name];
  });
  const error = what['error'] as { code: string } | undefined;
  if (error) event['error'] = error.code;
  if (typeof what['text'] === 'string') event['packets'] = packets(what['text']);
  return event;
}

/** The verbs of a message with what they are about: `pub room:7`, `ok 3`. */
function packets(text: string): string {
  const verbs = text
    .split('\n')
    .filter((line) => line)
    .map((line) => {
      // The marks come first, then the verb. Parsing it all would be too dear for something that is hardly ever looked at.
      const [, marks = '', verb = '?'] = /^\{((?:"(?:id|seen|again)":\w+,)*)"(\w+)":/.exec(line) || [];
      const [, id] = /"id":(\d+)/.exec(marks) || [];
      const [, channel] = /^[^[]{0,60}"channel":"([^"]{1,64})/.exec(line) || [];
      return [verb, id, channel].filter((part) => part).join(' ');
    });
  return verbs.slice(0, 5).join(', ') + (verbs.length > 5 ? ', and ' + (verbs.length - 5) + ' more' : '');
}

function printed(event: DebugEvent): string {
  const time = new Date(event.at).toISOString().slice(11, 23);
  const rest = Object.keys(event).filter((name) => name !== 'at' && name !== 'type');
  return [time, event.type].concat(rest.map((name) => name + '=' + String(event[name]))).join(' ');
}
