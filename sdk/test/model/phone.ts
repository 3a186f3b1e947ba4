/** A phone: a host that is not to be trusted, its storage, and the lives of the app on it. */

import type { Host, Socket, Tell } from '../../src/host.js';
import type { Device } from '../../src/storage-backends.js';
import { type Link, type World } from './world.js';

const BEGIN_WALL_MS = 1_763_666_000_000;

/** The host of one life of an app. When the life has ended nothing gets through, in either direction. */
export class Phone {
  /** How far its clock is off. */
  wallOffMs = 0;
  frozen = false;
  hidden = false;
  /** What a dial meets. */
  dialBehavior: 'clear' | 'refusing' | 'dead' = 'clear';
  /** Storing fails. */
  full = false;
  /** After so many writes to the storage the app is destroyed, in the middle of whatever it does. */
  writesLeft = Infinity;
  readonly stored = new Map<string, string>();
  /** The number of the life that runs; raised at its end. */
  life = 1;
  readonly links = new Set<Link>();
  private tell: Tell | undefined;
  private backlog: (() => void)[] = [];

  constructor(
    readonly world: World,
    readonly name: string,
    readonly slots: number,
    readonly background: boolean,
  ) {}

  get isDying(): boolean {
    return this.writesLeft <= 0;
  }

  /** The app ends where it stands. */
  kill(): void {
    this.life++;
    this.writesLeft = Infinity;
    this.tell = undefined;
    this.backlog = [];
    this.frozen = this.hidden = false;
    for (const link of this.links) link.cut();
    this.links.clear();
  }

  hide(): void {
    if (this.hidden) return;
    this.hidden = true;
    const { life } = this;
    // Some hosts do not say so.
    if (!this.background || this.world.random.chance(0.9)) this.says({ type: 'hide' });
    if (!this.background) return;
    this.world.in(5000, () => {
      if (life !== this.life || !this.hidden) return;
      this.frozen = true;
      this.cut();
    });
  }
  show(): void {
    if (!this.hidden) return;
    this.hidden = this.frozen = false;
    const late = this.backlog;
    this.backlog = [];
    const told = this.world.random.chance(0.5);
    if (told) this.says({ type: 'show' });
    late.forEach((act) => act());
    if (!told) this.says({ type: 'show' });
  }
  network(online: boolean, kind: string, weak: boolean): void {
    this.says({ type: 'network', online, kind, weak });
  }
  /** The network kills every connection; the app is told, now, later or never. */
  cut(): void {
    for (const link of this.links) {
      if (link.dead) continue;
      link.cut();
      const inMs = this.world.random.pick([0, 300, Infinity]);
      if (inMs < Infinity) this.later(inMs, () => link.tell.closed(1006, ''));
    }
  }
  heal(): void {
    this.dialBehavior = 'clear';
    this.full = false;
    this.show();
    this.network(true, 'wifi', false);
  }

  device(): Device {
    const { life } = this;
    const mayWrite = () => {
      if (life !== this.life || this.isDying) return false;
      this.writesLeft--;
      return true;
    };
    return {
      get: (key) => this.stored.get(key),
      set: (key, text) => {
        if (!mayWrite()) return;
        if (this.full) throw new Error('the storage is full');
        this.stored.set(key, text);
      },
      remove: (key) => mayWrite() && this.stored.delete(key),
    };
  }

  host(): Host {
    const { world, life, slots, background } = this;
    const lives = () => life === this.life && !this.isDying;
    return {
      platform: 'model',
      slots,
      background,
      now: () => BEGIN_WALL_MS + world.ms + this.wallOffMs,
      setTimer: (delayMs, fire) => {
        if (!lives()) return () => {};
        const event = this.later(delayMs, fire);
        return () => world.cancel(event);
      },
      watch: (tell) => {
        if (lives()) this.tell = tell;
        return () => {
          if (this.tell === tell) this.tell = undefined;
        };
      },
      dial: (_url, _protocol, socket, tell) =>
        lives() ? this.dial(socket, tell) : { send() {}, close() {} },
    };
  }

  /** What happens in this life of the app, and not while it is frozen. */
  private later(delayMs: number, act: () => void): ReturnType<World['in']> {
    const { life } = this;
    return this.world.in(delayMs, () => {
      if (life !== this.life) return;
      if (this.frozen) this.backlog.push(() => life === this.life && act());
      else act();
    });
  }

  private says(fact: Parameters<Tell>[0]): void {
    this.tell?.(fact);
  }

  private dial(socket: number, tell: Tell): Socket {
    const { world, life } = this;
    const { random } = world;
    const holders = [...this.links].filter((link) => !link.dead).length;
    if (holders >= this.slots + 1) world.fault(`${this.name} holds ${holders} sockets and dials another`);
    let ended = false;
    let left = false;
    const say = (fact: Parameters<Tell>[0]): void => void this.later(0, () => tell(fact));
    const over = (code: number | undefined, reason: string): void => {
      if (ended && !random.chance(0.2)) return;
      ended = true;
      this.links.delete(link);
      // Often an error comes first, and the socket counts until it is closed.
      if (!left && random.chance(0.2))
        say({ type: 'socket_closed', socket, reason: 'errno 104', held: true });
      say({ type: 'socket_closed', socket, code, reason });
      if (random.chance(0.1)) say({ type: 'socket_closed', socket, code, reason });
    };
    const link = world.link({
      opened: () => {
        if (life !== this.life || left) return;
        say({ type: 'socket_open', socket });
        if (random.chance(0.05)) say({ type: 'socket_open', socket });
      },
      // What comes behind a close is handed over, too.
      received: (text) => {
        if (life !== this.life) return;
        say({ type: 'socket_message', socket, text });
        if (random.chance(0.02)) say({ type: 'socket_message', socket, text });
      },
      closed: (code, reason) => life === this.life && over(code, reason),
    });
    this.links.add(link);
    if (this.dialBehavior === 'clear') link.dial();
    else if (this.dialBehavior === 'refusing')
      this.later(world.latency(), () => over(undefined, 'connection refused'));
    return {
      send: (text) => {
        if (life === this.life && !this.isDying) link.send(String(text));
      },
      close: () => {
        if (left || life !== this.life || this.isDying) return;
        left = true;
        link.hangUp();
        const inMs = random.pick([0, 20, 1500, Infinity]);
        if (inMs < Infinity) this.later(inMs, () => over(1000, ''));
        else this.links.delete(link);
      },
    };
  }
}
