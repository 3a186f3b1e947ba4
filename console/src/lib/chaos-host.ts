/** A host of the SDK with a bad network that is made in the page: it cuts, mutes, refuses and hides. */

import type { TautlineOptions } from 'tautline';

type Host = NonNullable<TautlineOptions['host']>;
type Tell = Parameters<Host['watch']>[0];
type Fact = Parameters<Tell>[0];

export interface Packet {
  id: number;
  at: number;
  /** Sent by the phone, received by it, or done to it. */
  way: 'out' | 'in' | 'note';
  text: string;
  /** It waits, since the line is mute. */
  isHeld: boolean;
}

/** A connection ended without a word: what browsers say then. */
const ABNORMAL = 1006;

export class ChaosHost implements Host {
  readonly platform = 'console';
  readonly slots: number;
  readonly background = false;
  /** Dials are refused at once. */
  isRefusing = false;
  private muteUntil = 0;
  private packets = 0;
  private readonly held: (() => void)[] = [];
  private tellApp: Tell = () => undefined;
  private readonly open = new Map<number, { cut: () => void }>();

  constructor(
    private readonly host: Host,
    private readonly onPacket: (packet: Packet) => void,
  ) {
    this.slots = host.slots;
  }

  now(): number {
    return this.host.now();
  }

  setTimer(delayMs: number, fire: () => void): () => void {
    return this.host.setTimer(delayMs, fire);
  }

  watch(tell: Tell): () => void {
    this.tellApp = tell;
    // Whether this page is looked at says nothing of the phone in it: it has a switch for that.
    return this.host.watch((fact) => (fact.type === 'network' ? tell(fact) : undefined));
  }

  get isMute(): boolean {
    return this.host.now() < this.muteUntil;
  }

  /**
   * Nothing passes for so long, and nobody is told: a dead connection that looks alive. Behind it everything comes in its
   * order, as TCP would have it, unless the connection was given up meanwhile.
   */
  mute(ms: number): void {
    this.note(`mute ${ms} ms`);
    this.muteUntil = this.host.now() + ms;
    this.host.setTimer(ms, () => this.release());
  }

  /** What was held passes, once the last mute is over. */
  private release(): void {
    if (this.isMute) return;
    for (const pass of this.held.splice(0)) pass();
  }

  private passOrHold(pass: () => void): void {
    if (this.isMute || this.held.length) this.held.push(pass);
    else pass();
  }

  /** All connections are gone at once. */
  cut(): void {
    this.note('cut');
    for (const { cut } of [...this.open.values()]) cut();
  }

  setHidden(hidden: boolean): void {
    this.note(hidden ? 'hide' : 'show');
    this.tellApp({ type: hidden ? 'hide' : 'show' });
  }

  dial: Host['dial'] = (url, protocol, socket, tell, more, base64) => {
    this.note(`dial ${url}`);
    if (this.isRefusing) {
      this.note('dial refused');
      this.host.setTimer(0, () => tell({ type: 'socket_closed', socket, code: ABNORMAL, cause: 'refused' }));
      return { send: () => undefined, close: () => undefined };
    }
    const inner = this.host.dial(
      url,
      protocol,
      socket,
      (fact) => this.passOrHold(() => this.hear(fact, socket, tell)),
      more,
      base64,
    );
    const cut = () => {
      this.open.delete(socket);
      inner.close(3_000, 'cut');
      tell({ type: 'socket_closed', socket, code: ABNORMAL, cause: 'network_lost' });
    };
    this.open.set(socket, { cut });
    return {
      send: (data, callbacks) => {
        this.record('out', typeof data === 'string' ? data : `${data.byteLength} B`, this.isMute);
        this.passOrHold(() => this.open.has(socket) && inner.send(data, callbacks));
      },
      close: (code, reason, callbacks) => inner.close(code, reason, callbacks),
      ...(inner.task && { task: () => inner.task!() }),
    };
  };

  private hear(fact: Fact, socket: number, tell: Tell): void {
    // What a cut connection still says reaches nobody.
    if (!this.open.has(socket)) return;
    if (fact.type === 'socket_message') this.record('in', fact.text, false);
    else if (fact.type === 'socket_closed') {
      this.open.delete(socket);
      this.note(`closed ${fact.code ?? ''} ${fact.reason ?? ''}`.trim());
    } else if (fact.type === 'socket_open') this.note('open');
    tell(fact);
  }

  note(text: string): void {
    this.record('note', text, false);
  }

  private record(way: Packet['way'], text: string, isHeld: boolean): void {
    this.onPacket({ id: ++this.packets, at: this.host.now(), way, text, isHeld });
  }
}
