/** What there is to be seen in traces: every kind of input and output, and a few that matter on their own. */

import type { Step } from '../machine.js';

/** Any object, as a trace has it. */
type Told = Record<string, unknown>;

/** What of an input or output makes it a kind of its own. */
const DETAILS: { [type: string]: (it: Told) => string } = {
  network: ({ online, weak }) => (weak ? 'weak' : online ? 'on' : 'off'),
  request: ({ verb }) => String(verb),
  restore: ({ stored }) => (stored ? 'something' : 'nothing'),
  drop: ({ cause }) => String(cause),
  presence: ({ kind }) => String(kind),
  publication: ({ redelivered }) => (redelivered ? 'again' : ''),
  settled: ({ error }) => (error ? (error as { code: string }).code : 'ok'),
  state: ({ state }) => String(state),
  welcome: ({ resumed }) => (resumed ? 'back' : 'anew'),
};

function kindOf(it: Told): string {
  const type = String(it['type']);
  return (type + ' ' + (DETAILS[type]?.(it) ?? '')).trim();
}

/** The verb of each packet in a message, where it begins as a server's do. */
const VERBS = /^\{(?:"id":\d+,)?"(\w+)"/gm;

/** The kinds of all that is in a step. */
export function kindsOf({ in: input, store, out }: Step): string[] {
  const outputs = (out as Told[]).flatMap((output) => {
    const packets = output['packets'] as Told[] | undefined;
    return packets
      ? packets.map(
          (packet) =>
            'send ' +
            Object.keys(packet)
              .filter((key) => !['id', 'seen'].includes(key))
              .sort()
              .join(' '),
        )
      : [kindOf(output)];
  });
  const heard =
    input.type === 'socket_message'
      ? Array.from(input.text.matchAll(VERBS), ([, verb]) => 'hear ' + verb)
      : [];
  const stores = store === undefined ? [] : [store === 'clear' ? 'store nothing' : 'store'];
  return [kindOf(input as Told), ...heard, ...stores, ...outputs];
}

/** Where one of these is missing from all traces, it has not been compared. */
export const KINDS = [
  ...[
    'auth',
    'auth_failed',
    'cancel',
    'close',
    'connect',
    'handled',
    'hide',
    'network off',
    'network on',
    'network weak',
  ],
  ...[
    'request call',
    'request history',
    'request presence',
    'request publish',
    'restore nothing',
    'restore something',
  ],
  ...[
    'show',
    'socket_closed',
    'socket_message',
    'socket_open',
    'store_failed',
    'subscribe',
    'timeout',
    'unsubscribe',
  ],
  ...[
    'hear bye',
    'hear challenge',
    'hear error',
    'hear gap',
    'hear ok',
    'hear pong',
    'hear pub',
    'hear ticket',
  ],
  ...['hear unsubscribed', 'hear welcome'],
  ...['store', 'store nothing'],
  ...[
    'close_socket',
    'dial',
    'fetch_auth',
    'gap',
    'presence away',
    'presence back',
    'presence join',
    'presence leave',
  ],
  ...['publication', 'publication again', 'subscribed', 'unsubscribed', 'welcome anew', 'welcome back'],
  ...[
    'drop auth_failed',
    'drop background',
    'drop closed_by_app',
    'drop connect_timeout',
    'drop dns_failed',
    'drop kicked',
  ],
  ...[
    'drop domain_not_allowed',
    'drop network_changed',
    'drop network_lost',
    'drop peer_silent',
    'drop protocol_error',
  ],
  ...[
    'drop refused',
    'drop server_restart',
    'drop slots_exhausted',
    'drop taken_over',
    'drop tls_failed',
    'drop unknown',
  ],
  ...[
    'send bye',
    'send call',
    'send again call',
    'send hello',
    'send history',
    'send pause',
    'send ping',
    'send presence',
  ],
  ...['send publish', 'send again publish', 'send subscribe', 'send unsubscribe'],
  ...[
    'settled cancelled',
    'settled closed',
    'settled expired',
    'settled in_doubt',
    'settled ok',
    'settled overflow',
  ],
  ...['settled timeout', 'settled too_large'],
  ...[
    'state closed',
    'state connecting',
    'state hidden',
    'state idle',
    'state offline',
    'state online',
    'state stopped',
  ],
  'state waiting',
];
