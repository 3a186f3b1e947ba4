/** A phone with the mini program of Gold. */

import { resolve } from 'node:path';
import { Phone as AnyPhone } from '../../../phone.ts';

/** The mini program, from `web/build`. */
export const MINI = resolve(import.meta.dirname, '../../mini');

export class Phone extends AnyPhone {
  constructor() {
    super(MINI);
    Object.assign(this.answers, { '/gold/players': { player: 'p1', token: 'p1.t' }, '/gold/rooms': [] });
  }
}
