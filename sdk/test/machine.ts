/** A session in the words of `spec/vectors/client`: fed a step's input, it gives what the step says of it. */

import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Session } from '../src/session.js';
import {
  persist,
  type PersistenceInput,
  type PersistenceOptions,
  type PersistentSession,
} from '../src/persistence.js';
import type { Input, Output, SessionOptions } from '../src/types.js';

/** What `wall_ms` is at `mono_ms` 0, where a step does not say. */
const WALL_START_MS = 1_763_666_000_000;

/** What a session does about an input. */
export interface Done {
  /** What is to be stored before anything of `out` is done; `"clear"`: nothing any more. */
  store?: object | 'clear' | undefined;
  out: object[];
  /** What `pollTimeout` gives afterwards; `null`: no timer is needed. */
  next: number | null;
}

export interface Step extends Done {
  at: number;
  /** The wall clock, where it has jumped. */
  wall?: number;
  in: (Input | PersistenceInput) & { packets?: unknown[] };
  /** The `timeout` comes after its time. */
  late?: boolean;
}

export interface Vector {
  name: string;
  options?: Partial<SessionOptions> & PersistenceOptions;
  seed: number;
  steps: Step[];
}

/** What a machine is made of: the source, or what ships. */
export interface Parts {
  Session: new (
    options: Partial<SessionOptions>,
    seed: number,
  ) => Pick<Session, 'handleInput' | 'pollOutput' | 'pollTimeout'>;
  persist(session: unknown, options: PersistenceOptions): PersistentSession;
}

const SOURCE = { Session, persist } as Parts;

/** The same as it ships, minified and under short names: `npm run build` leaves it in `build/shipped`. */
export function shippedParts(): Parts {
  const folder = resolve(__dirname, '../../shipped');
  const names = JSON.parse(readFileSync(resolve(folder, 'names.json'), 'utf8')) as Record<string, string>;
  const parts = {
    ...require(resolve(folder, 'session.js')),
    ...require(resolve(folder, 'persistence.js')),
  } as Parts;
  return {
    Session: parts.Session,
    persist(session, options) {
      const persisted = parts.persist(session, options);
      const pollStore = (persisted as unknown as Record<string, PersistentSession['pollStore_']>)[
        names['pollStore_']!
      ]!;
      return { ...persisted, pollStore_: () => pollStore.call(persisted) };
    },
  };
}

export class Machine {
  readonly session: InstanceType<Parts['Session']>;
  private readonly storage: PersistentSession | undefined;

  constructor({ options, seed, steps }: Vector, { Session, persist }: Parts = SOURCE) {
    this.session = new Session(options ?? {}, seed);
    // A line without storage knows nothing of it: vectors that do not speak of it run without.
    const stores = steps.some((step) => step.in.type === 'restore');
    this.storage = stores ? persist(this.session, options ?? {}) : undefined;
  }

  feed(step: Step): Done {
    const { session, storage } = this;
    session.handleInput({ mono_ms: step.at, wall_ms: step.wall ?? WALL_START_MS + step.at }, fed(step.in));
    const store = storage?.pollStore_();
    const out: object[] = [];
    for (let output = session.pollOutput(); output; output = session.pollOutput()) out.push(shown(output));
    return {
      store: store === '' ? 'clear' : store && JSON.parse(store),
      out,
      next: session.pollTimeout() ?? null,
    };
  }
}

/** An input in the form of the session: `packets` written as `text`. */
function fed(input: Step['in']): Input {
  const { packets, ...rest } = input;
  // Damage is written down as a text that is no session.
  if (input.type === 'restore' && typeof input.stored !== 'string')
    return { ...input, stored: JSON.stringify(input.stored) } as never;
  if (!packets) return input as Input;
  return { ...rest, text: packets.map((packet) => JSON.stringify(packet)).join('\n') } as Input;
}

/** An output in the form of the vectors: JSON, and `text` read as `packets`. */
function shown(output: Output): object {
  const { text, ...rest } = output as { text?: string };
  // A message that is empty counts as none.
  if (text === undefined)
    return JSON.parse(
      JSON.stringify(output, (name, value) => (name === 'message' && value === '' ? undefined : value)),
    ) as object;
  const packets = text.split('\n').filter((line) => line !== '');
  return { ...rest, packets: packets.map((packet) => JSON.parse(packet) as object) };
}
