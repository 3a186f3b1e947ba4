/** The test phone: a line of our SDK over a network whose faults are made in the page. */

import { Tautline, browserHost, type Published, type WelcomeOutput } from 'tautline';
import { api, app, describe } from './app.svelte.ts';
import { Problem } from './api.ts';
import { ChaosHost, type Packet } from './chaos-host.ts';
import { kindsOf, readable } from './packets.ts';
import { bounded, type TraceEntry } from './trace.ts';

export interface Received {
  id: number;
  at: number;
  channel: string;
  offset: number;
  data: unknown;
  kind: 'publication' | 'gap' | 'presence';
}

/** For the audit log: whoever opens a phone need not say more. */
const REASON = 'test phone';

interface Login {
  token?: string;
  url: string;
}

/** The login of a phone. A gateway that makes none still has its own door for guests, beside the console. */
async function loginOf(user: string | null, channels: string[]): Promise<Login> {
  try {
    return await api.post<Login>('phone', { user, channels }, REASON);
  } catch (error) {
    if (user === null && error instanceof Problem && error.status === 404) return { url: '../connect' };
    throw error;
  }
}

export class TestPhone {
  state = $state<string>('closed');
  retryAt = $state<number>();
  welcome = $state.raw<WelcomeOutput>();
  drops = $state(0);
  lastCause = $state<string>();
  packets = $state.raw<TraceEntry[]>([]);
  received = $state.raw<Received[]>([]);
  channels = $state<string[]>([]);
  isHidden = $state(false);
  isRefusing = $state(false);
  muteUntil = $state(0);
  failure = $state<string>();
  isOpening = $state(false);
  private line: Tautline | undefined;
  private host: ChaosHost | undefined;
  // What is shown of it is `channels`.
  // eslint-disable-next-line svelte/prefer-svelte-reactivity
  private readonly subscriptions = new Map<string, { unsubscribe(): void }>();
  private count = 0;

  get isOpen(): boolean {
    return this.state !== 'closed';
  }

  async open(user: string | null, channels: string[]): Promise<void> {
    this.isOpening = true;
    this.failure = undefined;
    const login = () => loginOf(user, channels);
    try {
      let made = await login();
      const authOf = ({ token }: { token?: string }) => (token ? { token } : { guest: true as const });
      this.host = new ChaosHost(browserHost(window as never), (packet) => this.record(packet));
      this.line = new Tautline({
        url: () => api.socketUrl(made.url),
        host: this.host,
        auth: async ({ renew }) => authOf(renew ? (made = await login()) : made),
      });
      this.listen(this.line, user !== null);
      for (const channel of channels) this.subscribe(channel);
      this.line.connect();
    } catch (error) {
      this.failure = describe(error);
    }
    this.isOpening = false;
  }

  private listen(line: Tautline, hasInbox: boolean): void {
    this.state = 'connecting';
    line.on('state', ({ state, retry_at: retryAt, cause }) => {
      [this.state, this.retryAt] = [state, retryAt];
      if (cause) this.lastCause = cause;
    });
    line.on('welcome', (welcome) => (this.welcome = welcome));
    line.on('drop', ({ cause }) => {
      this.drops++;
      this.lastCause = cause;
    });
    line.on('error', (error) => app.tell(describe(error), true));
    if (hasInbox)
      line.inbox({
        onPublication: ({ channel, offset, data, at }) =>
          this.take({ channel, offset, data, at, kind: 'publication' }),
        onGap: ({ channel, cursor, reason }) =>
          this.take({ channel, offset: cursor.offset, data: reason, at: Date.now(), kind: 'gap' }),
      });
  }

  close(): void {
    this.line?.close();
    [this.line, this.host, this.welcome] = [undefined, undefined, undefined];
    this.subscriptions.clear();
    this.channels = [];
    [this.isHidden, this.isRefusing, this.muteUntil, this.state] = [false, false, 0, 'closed'];
  }

  subscribe(channel: string): void {
    if (!this.line || !channel || this.subscriptions.has(channel)) return;
    const subscription = this.line.subscribe(channel, {
      onPublication: ({ offset, data, at }) => this.take({ channel, offset, data, at, kind: 'publication' }),
      onGap: ({ cursor, reason }) =>
        this.take({ channel, offset: cursor.offset, data: reason, at: Date.now(), kind: 'gap' }),
      onPresence: ({ kind, user, session }) =>
        this.take({
          channel,
          offset: 0,
          data: `${kind} ${user ?? session}`,
          at: Date.now(),
          kind: 'presence',
        }),
      onUnsubscribed: (error) => {
        this.forgetChannel(channel);
        app.tell(`${channel}: ${error.message || error.code}`, true);
      },
    });
    this.subscriptions.set(channel, subscription);
    this.channels = [...this.channels, channel];
  }

  unsubscribe(channel: string): void {
    this.subscriptions.get(channel)?.unsubscribe();
    this.forgetChannel(channel);
  }

  private forgetChannel(channel: string): void {
    this.subscriptions.delete(channel);
    this.channels = this.channels.filter((it) => it !== channel);
  }

  publish(channel: string, data: unknown): Promise<Published> {
    return this.line!.publish(channel, data);
  }

  call(method: string, data: unknown): Promise<unknown> {
    return this.line!.call(method, data);
  }

  cut(): void {
    this.host?.cut();
  }

  mute(ms: number): void {
    this.host?.mute(ms);
    this.muteUntil = Date.now() + ms;
  }

  setHidden(hidden: boolean): void {
    this.isHidden = hidden;
    this.host?.setHidden(hidden);
  }

  setRefusing(refusing: boolean): void {
    this.isRefusing = refusing;
    if (this.host) this.host.isRefusing = refusing;
  }

  private take(what: Omit<Received, 'id'>): void {
    this.received = bounded(this.received, { ...what, id: ++this.count });
  }

  private record({ id, at, way, text, isHeld }: Packet): void {
    const isNote = way === 'note';
    const title = isNote ? '' : kindsOf(text).join(' + ');
    const bytes = isNote ? undefined : new TextEncoder().encode(text).length;
    const entry = { id, at, way, title, text: isNote ? text : readable(text), isHeld };
    this.packets = bounded(this.packets, { ...entry, ...(bytes !== undefined && { bytes }) });
  }
}

export const phone = new TestPhone();
