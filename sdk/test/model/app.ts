/** One life of an app, that calls everything from every handler, and a memory of what came of it. */

import type { Subscription } from '../../src/options.js';
import type { storage as makeStorage } from '../../src/storage.js';
import type { TautlineConstructor, Tautline } from '../../src/tautline.js';
import type { Auth, Cursor, ReadFrom } from '../../src/types.js';
import { Listener } from './listener.js';
import type { Phone } from './phone.js';
import type { World } from './world.js';

/** The SDK, as it is or with a fault put in. */
export interface Sdk {
  Tautline: TautlineConstructor;
  storage: typeof makeStorage;
}

/** What the server keeps, and what may be lost. */
export interface ServerConfig {
  park_ms: number;
  /** A killed server has its logs again. */
  disk: boolean;
  keep: number;
  /** Old publications are dropped. */
  trims: boolean;
}

/** A publish, and what came of it. */
export interface Ask {
  channel: string;
  payload: string;
  life: Life;
  idempotent: boolean;
  ok?: { epoch: string; offset: number };
  error?: string;
}

/** What all lives of all apps have done. */
export interface Memory {
  asks: Ask[];
  calls: { payload: string; idempotent: boolean }[];
  listeners: Listener[];
  /** How far each user has handled each channel in each epoch. */
  handled: Map<string, number>;
  /** What handlers may still do. */
  actions: number;
}

const CHANNELS = ['room:1', 'room:2', '__proto__'];
/** So often a handler does something. */
const STRIKES = 0.25;
/** Handlers that one life has at a time. */
const LISTENERS_MAX = 12;

export class Life {
  readonly line: Tautline;
  readonly name: string;
  closed = false;
  welcomes = 0;
  /** How far this life has handled each channel in each epoch. */
  readonly handled = new Map<string, number>();
  private readonly number: number;
  private readonly subscriptions: [Listener, Subscription][] = [];
  private readonly cursors: { [channel: string]: Cursor[] } = Object.create(null);
  private state = 'idle';
  /** The places that were found in the storage. */
  private readonly places: { [channel: string]: Cursor };
  private readonly beganMs: number;

  constructor(
    readonly sdk: Sdk,
    readonly phone: Phone,
    readonly config: ServerConfig,
    readonly memory: Memory,
    readonly user: string | undefined,
    options: object,
    stores: boolean,
  ) {
    this.number = phone.life;
    this.name = `${phone.name}.${this.number}`;
    this.beganMs = phone.world.ms;
    const text = stores && phone.stored.get('tautline:line');
    this.places = Object.assign(
      Object.create(null),
      text ? (JSON.parse(text) as { cursors: object }).cursors : {},
    );
    const auth: Auth = user ? { token: `user:${user}` } : { guest: true };
    const device = phone.device();
    this.line = new sdk.Tautline({
      url: 'ws://a.example/connect',
      instance: `${this.name} of ${this.world.seed}, `,
      auth: () => this.world.random.pick<Auth | Promise<Auth>>([auth, Promise.resolve(auth)]),
      host: phone.host(),
      trace: () => {
        if (this.world.random.chance(0.005)) throw new Error('of the trace');
      },
      ...(stores && {
        storage: sdk.storage({
          device,
          onSettled: ({ body, ok, error }) =>
            this.restored(body as { channel?: string; data: string }, ok, error),
        }),
      }),
      ...options,
    });
    this.line.on('error', () => this.strike());
    this.line.on('drop', ({ cause }) => {
      this.says(`drop ${cause}`);
      this.strike();
    });
    this.line.on('welcome', () => {
      this.welcomes++;
      this.strike();
    });
    this.line.on('state', ({ state }) => {
      if (!this.runs) return;
      this.says(state);
      if (state === this.state && state !== 'waiting') this.world.fault(`${this.name}: ${state} twice`);
      if (this.closed && state !== 'closed') this.world.fault(`${this.name}: ${state} after close`);
      this.state = state;
      this.strike();
    });
  }

  get world(): World {
    return this.phone.world;
  }
  /** Nobody sees what an app does that is destroyed. */
  get runs(): boolean {
    return this.number === this.phone.life && !this.phone.isDying;
  }
  /** There was a place in the storage, and somebody begins there. */
  found(channel: string): boolean {
    return channel in this.places && this.world.ms <= this.beganMs + 60_000;
  }
  get live(): Listener[] {
    return this.subscriptions.map(([it]) => it).filter((it) => !it.ended);
  }

  hears(channel: string, { epoch, offset, at }: Cursor): void {
    (this.cursors[channel] ??= []).push({ epoch, offset, at });
  }
  handles(channel: string, epoch: string, offset: number): void {
    if (this.user) this.handled.set(`${channel} ${epoch}`, offset);
  }
  /** Handed over, or before the place where a handler began: it need not be handed over again. */
  passes(channel: string, epoch: string, offset: number): void {
    if (!this.user) return;
    const key = `${this.user} ${channel} ${epoch}`;
    this.memory.handled.set(key, Math.max(offset, this.memory.handled.get(key) ?? 0));
  }

  /** By chance, from within a handler, something is done. */
  strike(): void {
    if (!this.runs || this.memory.actions <= 0 || this.world.calm || !this.world.random.chance(STRIKES))
      return;
    this.act();
    if (this.world.random.chance(0.05)) throw new Error('of the app');
  }

  /** Something is done. */
  act(): void {
    this.memory.actions--;
    const { random } = this.world;
    const channel = random.pick(this.user ? [...CHANNELS, `user:${this.user}`] : CHANNELS);
    const public_ = random.pick(CHANNELS);
    switch (random.below(this.closed ? 4 : 20)) {
      case 0:
      case 1:
      case 2:
      case 4:
      case 5:
      case 6:
        return this.publish(public_);
      case 3:
        return this.call();
      case 7:
        return this.quietly(
          this.line.history(channel, { limit: 5, ...(random.chance(0.5) && { after: 'start' }) }),
        );
      case 8:
        return this.quietly(this.line.presence(public_));
      case 9:
      case 10:
      case 11:
      case 12:
        return this.subscribe(channel, this.start(channel));
      case 13:
      case 14:
        return this.unsubscribe();
      case 15:
        return this.line.connect();
      case 16:
        return random.chance(0.2) ? this.close() : this.publish(public_);
      case 17:
        return this.line.notifyShow();
      case 18: {
        // Leaving and coming back at once.
        this.unsubscribe();
        return this.subscribe(channel, this.start(channel));
      }
      default:
        for (let i = random.below(5); i >= 0; i--) this.publish(public_);
    }
  }

  start(channel: string): ReadFrom | undefined {
    const { random } = this.world;
    const known = this.cursors[channel] ?? [];
    return random.pick<ReadFrom | undefined>([
      undefined,
      'now',
      'start',
      'acked',
      known.length ? random.pick(known) : 'start',
    ]);
  }

  subscribe(channel: string, from: ReadFrom | undefined): void {
    if (this.live.length >= LISTENERS_MAX) return this.unsubscribe();
    const it = new Listener(this, channel, from, this.memory.listeners.length);
    this.memory.listeners.push(it);
    this.says(`subscribe ${channel} from ${JSON.stringify(from)} as ${this.memory.listeners.length - 1}`);
    this.subscriptions.push([it, this.line.subscribe(channel, it.handlers())]);
  }

  unsubscribe(): void {
    const { random } = this.world;
    if (!this.subscriptions.length) return;
    const [it, subscription] = random.pick(this.subscriptions);
    this.says(`unsubscribe ${it.channel}`);
    it.ended = true;
    subscription.unsubscribe();
    if (random.chance(0.1)) subscription.unsubscribe();
  }

  publish(channel: string): void {
    const { random } = this.world;
    const ask: Ask = {
      channel,
      payload: `p${this.memory.asks.length}`,
      life: this,
      idempotent: random.chance(0.2),
    };
    this.memory.asks.push(ask);
    const timeout = random.pick([undefined, undefined, 300, 5000]);
    this.says(`publish ${ask.payload} in ${channel}`);
    let settled = 0;
    const settle = (error: string | undefined, ok?: Ask['ok']): void => {
      if (++settled > 1) this.world.fault(`${ask.payload} is settled twice`);
      if (!this.runs) return;
      this.says(`${ask.payload}: ${error ?? JSON.stringify(ok)}`);
      Object.assign(ask, { error, ok });
      this.afterwards();
    };
    const how = {
      ...(timeout !== undefined && { timeout }),
      idempotent: ask.idempotent,
      volatile: random.chance(0.1),
    };
    this.line.publish(channel, ask.payload, how).then(
      (ok) => settle(undefined, ok),
      (error: { code: string }) => settle(error.code),
    );
  }

  call(): void {
    const payload = `c${this.memory.calls.length}`;
    const idempotent = this.world.random.chance(0.2);
    this.memory.calls.push({ payload, idempotent });
    this.line.call('echo', payload, { idempotent }).then(
      (told) => {
        if (told !== payload) this.world.fault(`${payload} is answered ${JSON.stringify(told)}`);
        this.afterwards();
      },
      () => this.afterwards(),
    );
  }

  close(): void {
    this.says('close');
    this.closed = true;
    this.line.close();
    if (this.line.state !== 'closed') this.world.fault(`${this.name}: ${this.line.state} after close`);
  }

  private quietly(asked: Promise<unknown>): void {
    asked.then(
      () => this.afterwards(),
      () => this.afterwards(),
    );
  }
  /** In a promise nobody catches what is thrown. */
  private afterwards(): void {
    try {
      this.strike();
    } catch (_) {
      // Of the app.
    }
  }
  private restored({ data }: { data: string }, ok: unknown, error: { code: string } | undefined): void {
    const ask = this.memory.asks.find((one) => one.payload === data);
    if (!this.runs || !ask) return;
    this.says(`restored ${data}: ${error?.code ?? JSON.stringify(ok)}`);
    // What was answered before it had left the device is answered once more, and the same.
    const again = ok as Ask['ok'];
    if (ask.ok && again && (ask.ok.epoch !== again.epoch || ask.ok.offset !== again.offset))
      this.world.fault(`${data} is answered again, otherwise`);
    if (/^(expired|overflow)$/.test(ask.error ?? ''))
      this.world.fault(`${data} is ${ask.error}, and was stored`);
    if (!ask.ok) Object.assign(ask, { ok, error: error?.code });
  }
  private says(what: string): void {
    if (this.runs) this.world.tell(`${this.name}: ${what}`);
  }
}
