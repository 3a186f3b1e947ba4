/** The shop behind the gateway: one line for the page, and the login by plain HTTP. */

import { Tautline } from 'tautline/browser';
import type { Account } from './device.ts';
import type { Card, Message, Order } from './shared.ts';

interface Methods {
  methods: {
    'card.bind': { data: { key: string; number: string }; result: Card };
    'card.list': { data: Record<string, never>; result: Card[] };
    'order.place': { data: { key: string; card: string; item: string }; result: Order };
    'order.advance': { data: { key: string; order: string; step: number }; result: Order };
    'order.list': { data: Record<string, never>; result: Order[] };
    'message.list': { data: Record<string, never>; result: Message[] };
  };
}

export type Line = Tautline<Methods>;

/** Refused: `bad_name`. */
export async function logIn(name: string): Promise<Account> {
  const response = await fetch('/login', { method: 'POST', body: JSON.stringify({ name }) });
  if (response.status === 400) throw new Error('bad_name');
  if (!response.ok) throw new Error(`the shop answered ${response.status}`);
  return (await response.json()) as Account;
}

async function settings(): Promise<{ socket: string }> {
  const response = await fetch('/config.json');
  if (!response.ok) throw new Error(`the shop answered ${response.status}`);
  return (await response.json()) as { socket: string };
}

/** The line of a member. It comes back by itself, and asks for nothing but the token. */
export function lineOf(account: Account): Line {
  // `?chaos=name`: the group of this page's connections behind `tautline-chaos`, for tests.
  const chaos = new URLSearchParams(location.search).get('chaos');
  const query = chaos ? `?chaos=${encodeURIComponent(chaos)}` : '';
  let socket: string | undefined;
  const url = async () => (socket ??= (await settings()).socket) + query;
  return new Tautline<Methods>({ url, auth: { token: account.token } });
}
