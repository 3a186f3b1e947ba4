/** One virtual clock, the server, and the links of phones to it, which lose, delay and cut. */

import type { Server, Sent, Truth } from './server.js';
import { Random } from './random.js';

/** More at one moment: somebody asks to be called again and again. */
const EVENTS_AT_ONCE_MAX = 2000;

interface Event {
  at: number;
  order: number;
  act: () => void;
}

/** One connection, as the network sees it. Both ends are told in the order in which things were sent. */
export class Link {
  /** Nothing arrives any more. */
  dead = false;
  private upAt = 0;
  private downAt = 0;
  private joined = false;

  constructor(
    readonly world: World,
    readonly connection: number,
    readonly tell: {
      opened(): void;
      received(text: string): void;
      closed(code: number, reason: string): void;
    },
  ) {}

  dial(): void {
    this.up(() => {
      this.joined = true;
      this.world.order({ do: 'open', connection: this.connection });
      this.down(() => this.tell.opened());
    });
  }
  send(text: string): void {
    this.up(() => this.joined && this.world.order({ do: 'message', connection: this.connection, text }));
  }
  /** The client is done with it. What it has said before arrives. */
  hangUp(): void {
    this.up(() => this.world.order({ do: 'lost', connection: this.connection }));
  }
  /** From the server. What it said before it was killed arrives. */
  bring({ text, code, reason }: Sent): void {
    this.down(() => (text === undefined ? this.tell.closed(code!, reason!) : this.tell.received(text)));
  }
  /** The network ends it. The server hears of it soon, late, or by its own heartbeat. */
  cut(): void {
    if (this.dead) return;
    this.dead = true;
    const { world, connection } = this;
    const inMs = world.random.pick([0, 50, 5000, Infinity]);
    if (this.joined && inMs < Infinity) world.in(inMs, () => world.order({ do: 'lost', connection }));
  }

  /** The server's end of it is gone, and its host says so. */
  end(): void {
    if (!this.dead) this.down(() => this.tell.closed(1006, ''));
    this.joined = false;
  }

  private up(act: () => void): void {
    this.upAt = Math.max(this.upAt, this.world.ms + this.world.latency());
    this.world.in(this.upAt - this.world.ms, () => this.dead || act());
  }
  private down(act: () => void): void {
    this.downAt = Math.max(this.downAt, this.world.ms + this.world.latency());
    this.world.in(this.downAt - this.world.ms, () => this.dead || act());
  }
}

export class World {
  ms = 0;
  readonly random: Random;
  readonly links = new Map<number, Link>();
  /** What was seen that must not be. */
  readonly faults: string[] = [];
  readonly story: string[] = [];
  /** Nothing is strange any more: what is under way ends. */
  calm = false;
  private events: Event[] = [];
  private orders = 0;
  private connections = 0;
  private wake: Event | undefined;
  private atOnce = 0;

  constructor(
    readonly seed: number,
    private readonly server: Server,
    config: object,
  ) {
    this.random = new Random(seed);
    this.order({ do: 'begin', seed, ...config });
  }

  fault(what: string): void {
    this.tell(`FAULT ${what}`);
    this.faults.push(`at ${this.ms} ms: ${what}`);
  }
  tell(what: string): void {
    this.story.push(`${String(this.ms).padStart(7)} ms ${what}`);
  }

  in(delayMs: number, act: () => void): Event {
    const event = { at: this.ms + Math.max(0, delayMs), order: this.orders++, act };
    this.events.push(event);
    return event;
  }
  cancel(event: Event): void {
    const at = this.events.indexOf(event);
    if (at >= 0) this.events.splice(at, 1);
  }

  order(order: { do: string; [name: string]: unknown }): unknown {
    const { out, due, told } = this.server.order({ at: this.ms, ...order });
    for (const sent of out) this.links.get(sent.connection)?.bring(sent);
    if (this.wake) this.cancel(this.wake);
    this.wake = due < 1e15 ? this.in(due - this.ms, () => void this.order({ do: 'wait' })) : undefined;
    return told;
  }
  truth(acked: { channel: string; user: string }[] = []): Truth {
    return this.order({ do: 'truth', acked }) as Truth;
  }
  /** The process is killed, and another one begins at once. */
  killServer(): void {
    this.tell('the server is killed');
    this.order({ do: 'kill' });
    this.links.forEach((link) => link.end());
  }
  link(tell: Link['tell']): Link {
    const link = new Link(this, ++this.connections, tell);
    this.links.set(link.connection, link);
    return link;
  }
  latency(): number {
    const { random } = this;
    return this.calm || random.chance(0.7) ? random.between(5, 60) : random.between(60, 3000);
  }

  /** Lets time pass, with all that falls due. Promises settle in between. */
  async advance(ms: number): Promise<void> {
    const until = this.ms + ms;
    for (;;) {
      await new Promise(setImmediate);
      const next = this.events.reduce<Event | undefined>(
        (first, it) =>
          !first || it.at < first.at || (it.at === first.at && it.order < first.order) ? it : first,
        undefined,
      );
      if (!next || next.at > until) break;
      this.cancel(next);
      this.atOnce = next.at > this.ms ? 0 : this.atOnce + 1;
      if (this.atOnce > EVENTS_AT_ONCE_MAX) throw new Error(`time stands still at ${this.ms} ms`);
      this.ms = Math.max(this.ms, next.at);
      try {
        next.act();
      } catch (error) {
        // What handlers throw and nobody listens to comes out of a timer.
        if (!/^of the (app|trace)$/.test((error as Error).message)) throw error;
      }
    }
    this.ms = until;
  }
}
