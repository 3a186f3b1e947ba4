/**
 * A small world on one virtual clock: a host for the line under test, and a gateway that speaks just enough of the protocol.
 *
 * Every message takes `latencyMs`; nothing happens until `advance` moves the time.
 */

import type { Host, Socket, Tell } from '../../src/host.js';
import { FakeGateway, type GatewayEnd } from './gateway.js';

interface Timer {
  at: number;
  order: number;
  fire: () => void;
}

/** One WebSocket between the line and the gateway. */
export class Wire {
  open = false;
  /** Bytes vanish and no close is ever told, as when a phone changes networks. */
  dead = false;

  constructor(
    readonly url: string,
    readonly protocol: string,
    readonly socket: number,
    private readonly tell: Tell,
  ) {}

  opened(): void {
    this.open = true;
    this.tell({ type: 'socket_open', socket: this.socket });
  }
  received(text: string): void {
    if (this.open) this.tell({ type: 'socket_message', socket: this.socket, text, data: text });
  }
  closed(code: number, reason: string): void {
    this.open = false;
    this.tell({ type: 'socket_closed', socket: this.socket, code, reason });
  }
}

/** The host, the network and the gateway. */
export class World implements Host {
  readonly platform = 'test';
  slots = 2;
  background = false;
  readonly latencyMs = 10;
  readonly wires: Wire[] = [];
  readonly gateway = new FakeGateway();
  /** No dial gets through. */
  unreachable = false;
  /** What the line listens with while it is watching. */
  watcher: Tell | undefined;
  private wall = 1_763_666_000_000;
  private timers: Timer[] = [];
  private order = 0;

  now = (): number => this.wall;

  setTimer = (delayMs: number, fire: () => void): (() => void) => {
    const timer = { at: this.wall + Math.max(0, delayMs), order: this.order++, fire };
    this.timers.push(timer);
    return () => {
      this.timers = this.timers.filter((other) => other !== timer);
    };
  };

  watch = (tell: Tell): (() => void) => {
    this.watcher = tell;
    return () => {
      this.watcher = undefined;
    };
  };

  dial = (url: string, protocol: string, socket: number, tell: Tell): Socket => {
    const wire = new Wire(url, protocol, socket, tell);
    this.wires.push(wire);
    const later = (act: () => void) =>
      this.setTimer(this.latencyMs, () => {
        if (!wire.dead) act();
      });
    if (this.unreachable) {
      later(() => wire.closed(1006, ''));
      return { send() {}, close() {} };
    }
    const gatewayEnd: GatewayEnd = {
      send: (text) => later(() => wire.received(text)),
      close: (code, reason) => later(() => wire.closed(code, reason)),
    };
    later(() => wire.opened());
    return {
      send: (text) => later(() => this.gateway.receive(gatewayEnd, String(text), this.wall)),
      close: (code, reason) => {
        this.setTimer(this.latencyMs, () => this.gateway.lost(gatewayEnd));
        later(() => wire.closed(code, reason));
      },
    };
  };

  /** How many timers are set. */
  get pendingTimers(): number {
    return this.timers.length;
  }

  /** The newest wire. */
  get wire(): Wire {
    return this.wires[this.wires.length - 1]!;
  }

  /** The network kills the newest wire, and the host tells. */
  cut(): void {
    const { wire } = this;
    wire.dead = true;
    wire.closed(1006, '');
  }

  /** Moves the clock without letting a timer fire: the phone slept, or somebody set the clock. */
  jump(ms: number): void {
    this.wall += ms;
  }

  /** Lets `ms` pass, with everything that falls due. Promises settle in between. */
  async advance(ms: number): Promise<void> {
    const until = this.wall + ms;
    for (;;) {
      await settled();
      const next = this.timers
        .filter((timer) => timer.at <= until)
        .sort((a, b) => a.at - b.at || a.order - b.order)[0];
      if (!next) break;
      this.timers = this.timers.filter((timer) => timer !== next);
      this.wall = Math.max(this.wall, next.at);
      next.fire();
    }
    this.wall = Math.max(this.wall, until);
    await settled();
  }
}

/** Everything that promises had to do is done. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
