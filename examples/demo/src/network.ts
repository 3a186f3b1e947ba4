/** The network of one phone, as the switches change it: requests to the demo's own routes. */

/** What can be done to it. */
export type Action = 'unplug' | 'plug' | 'half_open' | 'heal' | 'slow' | 'fast' | 'hide' | 'show' | 'cut';

export class Network {
  /** The chaos proxy tells connections apart by this name in their URL. */
  constructor(readonly group: string) {}

  /** Where a phone on this network connects. */
  get url(): string {
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    return `${scheme}://${location.host}/connect?chaos=${this.group}`;
  }

  async throw(action: Action): Promise<void> {
    await post(`/demo/chaos/${this.group}`, { action });
  }
}

/** Tells every connection of the gateway to come back. */
export async function drain(): Promise<void> {
  await post('/demo/drain', {});
}

/** How often the gateway executed a call that it had executed before. */
export async function executedTwice(): Promise<number> {
  const response = await fetch('/demo/state');
  const state = (await response.json()) as { calls: { executed_twice: number } };
  return state.calls.executed_twice;
}

async function post(path: string, body: object): Promise<void> {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(path, { method: 'POST', headers, body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`${path} answered ${response.status}: ${await response.text()}`);
}
