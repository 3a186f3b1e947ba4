/** What can be said in the page's address, and what holds where nothing is said. */

import type { Language } from './words.ts';

export interface Settings {
  /** `?lang=zh` */
  language: Language;
  /** `?phones=a`: the phones on this page; another page may have the others. */
  phones: string[];
  /** `?room=x`: pages in one room share a channel. A room of its own where nothing is said. */
  room: string;
  /** `?rate=20`: publications a second and phone, to begin with. */
  rate: number;
  /** `?calls=2`: calls a second and phone. */
  calls: number;
  /** `?journal`: everything that is booked is kept, for tests that put books together. */
  journal: boolean;
  /** `?sabotage=drop`: phones spoil what they are given before it is booked, to show that the books notice. */
  sabotage: 'none' | 'drop' | 'double' | 'reorder';
  /** `?theme=dark`; what the system prefers where nothing is said. */
  theme: string;
}

export const RATE_MAX = 40;

export function readSettings(search: string): Settings {
  const said = new URLSearchParams(search);
  const number = (name: string, otherwise: number, most: number) => {
    const value = said.has(name) ? Number(said.get(name)) : otherwise;
    return value >= 0 && value <= most ? value : otherwise;
  };
  const sabotage = said.get('sabotage');
  return {
    language: said.get('lang') === 'zh' ? 'zh' : 'en',
    phones: ['a', 'b'].filter((phone) => (said.get('phones') ?? 'a,b').split(',').includes(phone)),
    room: said.get('room')?.match(/^[a-z0-9]{1,32}$/)?.[0] ?? Math.random().toString(36).slice(2, 10),
    rate: number('rate', 10, RATE_MAX),
    calls: number('calls', 2, RATE_MAX),
    journal: said.has('journal'),
    sabotage: sabotage === 'drop' || sabotage === 'double' || sabotage === 'reorder' ? sabotage : 'none',
    theme: said.get('theme') ?? '',
  };
}
