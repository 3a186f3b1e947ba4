/** The server: plain HTTP for lists, and one line, which is opened by the first call. */

import { Tautline } from 'tautline/browser';
import { account } from './device.ts';
import type { Settings, View } from './shared.ts';

/** An open room in the list. */
export interface RoomSummary {
  room: string;
  settings: Settings;
  is_waiting: boolean;
  players: string[];
  gold_left: number;
}

/** A line of the leaderboard. */
export interface Leader {
  player: string;
  name: string;
  won: number;
  played: number;
  gold: number;
}

interface Methods {
  methods: {
    'gold.open': { data: { name: string; settings: Settings }; result: { room: string; view: View } };
    'gold.join': { data: { name: string; room: string }; result: { room: string; view: View } };
    'gold.start': { data: { room: string }; result: { n: number } };
    'gold.leave': { data: { room: string }; result: { n: number } };
    'gold.view': { data: { room: string }; result: View };
    'gold.dig': { data: { room: string; turn: number; cell: number }; result: { n: number } };
  };
}

/** How far the server's clock is ahead of this one, in milliseconds. */
let ahead = 0;
let opened: Tautline<Methods> | undefined;

/** The line. The home page needs none; the first call or subscription opens it. */
export function line(): Tautline<Methods> {
  if (opened) return opened;
  // `?chaos=name`: the group of this page's connections behind `tautline-chaos`, for tests.
  const chaos = new URLSearchParams(location.search).get('chaos');
  const query = chaos ? `?chaos=${encodeURIComponent(chaos)}` : '';
  const url = `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/connect${query}`;
  opened = new Tautline<Methods>({ url, auth: async () => ({ token: (await account()).token }) });
  opened.on('welcome', ({ now }) => (ahead = now - Date.now()));
  return opened;
}

/** The server's time. */
export function serverNow(): number {
  return Date.now() + ahead;
}

/** A repeated call is the same call: after a restart of the server it is sent again. */
export const AGAIN = { idempotent: true };

export async function rooms(): Promise<RoomSummary[]> {
  return (await get('/gold/rooms')) as RoomSummary[];
}

export async function leaders(): Promise<Leader[]> {
  return (await get('/gold/leaders')) as Leader[];
}

async function get(path: string): Promise<unknown> {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path} answered ${response.status}`);
  return response.json();
}
