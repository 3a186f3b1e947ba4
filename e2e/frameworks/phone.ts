/**
 * What the apps of all frameworks do with their line: publish, read, call, and keep a journal of it.
 *
 * An app makes the line and reads the channel in its framework's own way, and hands both over. Nothing here counts: the test
 * puts the journals of all phones together. What lies on `window.phone` is what the test holds on to.
 */

import type { Host, SubscriptionHandlers, Tautline, TautlineOptions } from '../../sdk/dist/types/index.js';
import type { Entry } from '../../examples/demo/src/ledger.ts';
import { Outages } from '../../examples/demo/src/outages.ts';
import { Stream } from '../../examples/demo/src/stream.ts';

declare global {
  interface Window {
    phone: Phone;
  }
}

/** Longer than any storm. */
const REQUEST_TTL_MS = 300_000;

const said = new URLSearchParams(location.search);
const name = said.get('phone') ?? 'a';
const room = said.get('room') ?? 'frameworks';

/** The options of a line, over that of the hosts which the address names: `?host=wrapper`. */
export function optionsFor(hosts: Record<string, () => Host>): TautlineOptions {
  const url = new URL(`/connect?chaos=phone-${name}.${room}`, location.href);
  url.protocol = url.protocol.replace('http', 'ws');
  return {
    url: url.href,
    host: hosts[said.get('host') ?? 'framework']!(),
    // As in a mini program: a browser's own default is to live on.
    background: true,
    request_ttl_ms: REQUEST_TTL_MS,
    outbox_count_max: 10_000,
    outbox_bytes_max: 4 * 1024 * 1024,
  };
}

export class Phone {
  readonly channel = `room:${room}`;
  readonly journal: Entry[] = [];
  /** Why each connection was lost, and each dial failed. */
  readonly drops: string[] = [];
  /** Errors that nobody caught. */
  readonly errors: string[] = [];
  /** What the framework said of the page's life. */
  readonly life: ('shown' | 'hidden')[] = [];
  readonly outages = new Outages();

  private readonly streams = [new Stream(() => this.publish()), new Stream(() => this.call())];
  private published = 0;
  private called = 0;

  constructor(readonly line: Tautline) {
    window.addEventListener('error', (event) => this.errors.push(event.message));
    window.addEventListener('unhandledrejection', (event) => this.errors.push(String(event.reason)));
    line.on('drop', (drop) => {
      this.drops.push(drop.cause);
      this.outages.drop(name, drop, wallNow());
    });
    line.on('welcome', () => this.outages.welcome(name, wallNow()));
    window.phone = this;
  }

  /** Begins to publish and to call, so many times a second. */
  start(published: number, called: number): void {
    this.streams[0]!.setRate(published);
    this.streams[1]!.setRate(called);
  }

  /** Nothing new from now on; what is on its way goes on. */
  rest(): void {
    this.start(0, 0);
  }

  shown(): void {
    this.life.push('shown');
    this.line.notifyShow();
  }

  hidden(): void {
    this.life.push('hidden');
    this.line.notifyHide();
  }

  /** The handlers of the page's subscription; `seen` is for what the page shows. */
  reading(seen: () => void): SubscriptionHandlers {
    return {
      from: 'start',
      onSubscribed: ({ cursor: { epoch, offset }, recovering }) =>
        this.book({ what: 'begins', phone: name, epoch, offset: offset - recovering }),
      onPublication: ({ epoch, offset, data }) => {
        const { from, n, sent } = data as { from: string; n: number; sent: number };
        this.book({ what: 'handed', phone: name, epoch, offset, from, n, ms: wallNow() - sent });
        seen();
      },
      onGap: ({ after, cursor: { epoch, offset } }) => this.book({ what: 'gap', phone: name, epoch, after, offset }),
    };
  }

  private publish(): void {
    const n = ++this.published;
    this.book({ what: 'published', phone: name, n });
    this.line.publish(this.channel, { from: name, n, sent: wallNow() }).then(
      ({ epoch, offset }) => this.book({ what: 'acknowledged', phone: name, n, epoch, offset }),
      ({ code }) => this.book({ what: 'failed', phone: name, n, code }),
    );
  }

  private call(): void {
    const call = ++this.called;
    this.book({ what: 'asked', phone: name, call });
    const settle = (ok: boolean) => this.book({ what: 'settled', phone: name, call, ok });
    // The gateway counts how often it executes each of these.
    this.line.call<{ phone: string; call: number }>('echo', { phone: name, call }).then(
      (answer) => settle(answer.phone === name && answer.call === call),
      () => settle(false),
    );
  }

  private book(entry: Entry): void {
    this.journal.push(entry);
  }
}

function wallNow(): number {
  return performance.timeOrigin + performance.now();
}
