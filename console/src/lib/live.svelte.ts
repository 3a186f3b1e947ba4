/** The live figures: our own SDK on the channel of the console; while that is not up, the page asks every few seconds. */

import { Tautline } from 'tautline';
import { api, describe } from './app.svelte.ts';
import { push, type Sample } from './rates.ts';
import type { Overview } from './types.ts';

const POLL_MS = 2_000;
/** What the line brings each second is late after this. */
const QUIET_MS = 4_000;
/** How far back "of late" looks. */
const RECENT_MS = 60_000;
const CHANNEL = '$console:overview';

class Live {
  overview = $state.raw<Overview>();
  samples = $state.raw<Sample[]>([]);
  /** As it was about a minute ago. */
  minuteAgo = $state.raw<Overview>();
  failure = $state<string>();
  isLive = $state(false);
  line: Tautline | undefined;
  private past: Overview[] = [];
  private heardAt = 0;
  private timer: ReturnType<typeof setInterval> | undefined;

  start(): void {
    if (this.timer) return;
    this.timer = setInterval(() => void this.poll(), POLL_MS);
    void this.refresh();
    void this.connect();
  }

  stop(): void {
    clearInterval(this.timer);
    this.timer = undefined;
    this.line?.close();
    this.line = undefined;
    this.isLive = false;
    [this.overview, this.minuteAgo, this.samples, this.past] = [undefined, undefined, [], []];
  }

  async refresh(): Promise<void> {
    try {
      this.take(await api.ask<Overview>('overview'));
      this.failure = undefined;
    } catch (error) {
      this.failure = describe(error);
    }
  }

  private async poll(): Promise<void> {
    this.isLive = this.line?.state === 'online' && Date.now() - this.heardAt < QUIET_MS;
    if (!this.isLive && document.visibilityState === 'visible') await this.refresh();
  }

  private async connect(): Promise<void> {
    const login = () => api.post<{ token: string; url: string }>('line');
    let made: { token: string; url: string };
    try {
      made = await login();
    } catch (_) {
      // The figures come by asking, then.
      return;
    }
    if (!this.timer) return;
    this.line = new Tautline({
      url: () => api.socketUrl(made.url),
      auth: async ({ renew }) => ({ token: (renew ? (made = await login()) : made).token }),
    });
    this.line.on('error', () => undefined);
    this.line.subscribe(CHANNEL, {
      onPublication: ({ data }) => {
        this.heardAt = Date.now();
        this.isLive = true;
        this.failure = undefined;
        this.take(data as Overview);
      },
      onUnsubscribed: () => (this.isLive = false),
    });
  }

  private take(overview: Overview): void {
    if (!overview || !Array.isArray(overview.nodes)) return;
    const before = this.past.at(-1);
    if (before && overview.at <= before.at) return;
    this.samples = push(this.samples, overview, before);
    this.past = [...this.past.filter(({ at }) => at > overview.at - RECENT_MS), overview];
    this.minuteAgo = this.past[0];
    this.overview = overview;
  }
}

export const live = new Live();
