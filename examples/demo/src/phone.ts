/**
 * One phone: an SDK instance with a line of its own, which publishes, reads the shared channel and calls a method.
 *
 * Everything that happens is told to the `PhoneEvents`; nothing here counts.
 */

import { Tautline, type DropOutput, type PublicationOutput } from 'tautline';
import { phoneHost, type PhoneHost } from './host.ts';
import type { Entry } from './ledger.ts';
import { Network } from './network.ts';
import { spoil } from './sabotage.ts';
import type { Settings } from './settings.ts';
import { Stream } from './stream.ts';

/** What travels in the channel. */
interface Payload {
  from: string;
  n: number;
  /** In wall milliseconds with a fraction; both phones live on one machine. */
  sent: number;
  tap: boolean;
}

export interface PhoneEvents {
  entry(entry: Entry): void;
  drop(phone: Phone, drop: DropOutput): void;
  welcome(phone: Phone): void;
  recovering(phone: Phone, publications: number): void;
  /** Handed over from another phone: when it was sent, and how long that took. */
  latency(phone: Phone, sent: number, ms: number): void;
  /** Its network was hurt, or made good again. */
  trouble(phone: Phone, hurt: boolean): void;
  tapped(phone: Phone, from: string): void;
}

/** What the switches of a phone say. */
export interface Switches {
  cable: boolean;
  half_open: boolean;
  slow: boolean;
  hidden: boolean;
}

/** Longer than anybody holds a cable in the hand. */
const REQUEST_TTL_MS = 180_000;
/** What one phone publishes meanwhile at the highest rate. */
const OUTBOX_COUNT_MAX = 10_000;
const OUTBOX_BYTES_MAX = 4 * 1024 * 1024;

export class Phone {
  readonly line: Tautline;
  readonly network: Network;
  readonly switches: Switches = { cable: false, half_open: false, slow: false, hidden: false };
  /** Publications of everybody that were handed over. */
  counter = 0;
  /** Publications that were not settled yet. */
  underway = 0;
  /** When the next dial is due, in wall milliseconds. */
  retryAt: number | undefined;
  /** How long the last call took, in milliseconds. */
  callMs: number | undefined;
  /** How long the last publication from the other phone took, in milliseconds. */
  heardMs: number | undefined;

  private readonly host: PhoneHost = phoneHost();
  private readonly channel: string;
  private readonly stream = new Stream(() => this.publish(false));
  private readonly calls = new Stream(() => this.call());
  private published = 0;
  private called = 0;

  constructor(
    readonly name: string,
    settings: Settings,
    private readonly events: PhoneEvents,
  ) {
    this.network = new Network(`phone-${name}.${settings.room}`);
    this.channel = `room:${settings.room}`;
    this.line = new Tautline({
      url: this.network.url,
      host: this.host,
      request_ttl_ms: REQUEST_TTL_MS,
      outbox_count_max: OUTBOX_COUNT_MAX,
      outbox_bytes_max: OUTBOX_BYTES_MAX,
    });
    this.line.on('state', ({ retry_at }) => (this.retryAt = retry_at));
    this.line.on('drop', (drop) => events.drop(this, drop));
    this.line.on('welcome', () => this.welcome());
    this.line.subscribe(this.channel, {
      from: 'start',
      onSubscribed: ({ cursor, recovering }) => {
        this.book({ what: 'begins', phone: name, epoch: cursor.epoch, offset: cursor.offset - recovering });
        events.recovering(this, recovering);
      },
      onPublication: spoil(settings.sabotage, (publication) => this.handed(publication)),
      onGap: ({ after, cursor }) =>
        this.book({ what: 'gap', phone: name, epoch: cursor.epoch, after, offset: cursor.offset }),
    });
    this.stream.setRate(settings.rate);
    this.calls.setRate(settings.calls);
  }

  setRate(perSecond: number): void {
    this.stream.setRate(perSecond);
  }

  /** Nothing new is published or asked any more; what is on its way goes on. */
  rest(): void {
    this.stream.setRate(0);
    this.calls.setRate(0);
  }

  tap(): void {
    this.publish(true);
  }

  async pullCable(out: boolean): Promise<void> {
    this.switches.cable = out;
    this.events.trouble(this, out);
    await this.network.throw(out ? 'unplug' : 'plug');
    this.host.tellNetwork(!out);
  }

  /** Goes off by itself when the line has noticed and is back. */
  async halfOpen(on: boolean): Promise<void> {
    this.switches.half_open = on;
    this.events.trouble(this, on);
    await this.network.throw(on ? 'half_open' : 'heal');
  }

  async slow(on: boolean): Promise<void> {
    this.switches.slow = on;
    await this.network.throw(on ? 'slow' : 'fast');
  }

  /** What a mini-program host does: it tells the app, freezes it, and later lets go of its connections. */
  async background(hidden: boolean): Promise<void> {
    this.switches.hidden = hidden;
    this.stream.setPaused(hidden);
    this.calls.setPaused(hidden);
    if (hidden) {
      this.line.notifyHide();
      await this.network.throw('hide');
    } else {
      await this.network.throw('show');
      this.line.notifyShow();
    }
  }

  private welcome(): void {
    this.events.welcome(this);
    this.switches.half_open = false;
  }

  private publish(tap: boolean): void {
    const n = ++this.published;
    const phone = this.name;
    const payload: Payload = { from: phone, n, sent: wallNow(), tap };
    this.underway++;
    this.book({ what: 'published', phone, n });
    this.line.publish(this.channel, payload).then(
      ({ epoch, offset }) => {
        this.underway--;
        this.book({ what: 'acknowledged', phone, n, epoch, offset });
      },
      (error: { code: string }) => {
        this.underway--;
        this.book({ what: 'failed', phone, n, code: error.code });
      },
    );
  }

  private handed({ epoch, offset, data }: PublicationOutput): void {
    const { from, n, sent, tap } = data as Payload;
    const ms = wallNow() - sent;
    this.counter++;
    this.book({ what: 'handed', phone: this.name, epoch, offset, from, n, ms });
    if (tap) this.events.tapped(this, from);
    if (from === this.name) return;
    this.heardMs = ms;
    this.events.latency(this, sent, ms);
  }

  private call(): void {
    const call = ++this.called;
    const phone = this.name;
    const asked = wallNow();
    this.book({ what: 'asked', phone, call });
    // The session and this number together are nowhere else: the gateway counts how often it executes them.
    const question = { phone, call };
    this.line.call<typeof question>('echo', question).then(
      (answer) => {
        this.callMs = wallNow() - asked;
        this.book({ what: 'settled', phone, call, ok: answer.phone === phone && answer.call === call });
      },
      () => this.book({ what: 'settled', phone, call, ok: false }),
    );
  }

  private book(entry: Entry): void {
    this.events.entry(entry);
  }
}

export function wallNow(): number {
  return performance.timeOrigin + performance.now();
}
