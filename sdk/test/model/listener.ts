/** What one handler of a channel is promised, checked at each call. */

import type { SubscriptionHandlers } from '../../src/options.js';
import type { Cursor, ReadFrom } from '../../src/types.js';
import type { Life } from './app.js';

export class Listener {
  /** Where it stands; nothing before it was confirmed. */
  place: Cursor | undefined;
  /** What it was handed, for the end. */
  readonly heard: { epoch: string; offset: number; payload: string }[] = [];
  readonly gaps: { reason: string; after: number; cursor: Cursor }[] = [];
  ended = false;
  private toldOn = 0;
  /** Another life of the app has left a place in the storage. */
  private readonly wasStored: boolean;
  private readonly name: string;

  constructor(
    readonly life: Life,
    readonly channel: string,
    readonly from: ReadFrom | undefined,
    number: number,
  ) {
    this.wasStored = life.found(channel);
    this.name = `${life.name} handler ${number} of ${channel} from ${JSON.stringify(from)}`;
  }

  handlers(): SubscriptionHandlers {
    const { life } = this;
    const when =
      <T>(what: string, check: (value: T) => void) =>
      (value: T): void => {
        if (!life.runs) return;
        life.world.tell(`${this.name}: ${what} ${JSON.stringify(value)}`);
        if (this.ended || life.closed) this.fault(`${what} after its end`);
        check(value);
      };
    return {
      from: this.from,
      onSubscribed: when('onSubscribed', ({ cursor }) => {
        this.subscribed(cursor);
        life.strike();
      }),
      onPublication: when('onPublication', (publication) => {
        const { epoch, offset, data } = publication;
        if (!this.place) this.fault('a publication before it is confirmed');
        else if (this.place.epoch !== epoch || this.place.offset + 1 !== offset)
          this.fault(`stands at ${JSON.stringify(this.place)} and is handed ${offset} of ${epoch}`);
        this.place = { epoch, offset };
        this.heard.push({ epoch, offset, payload: String(data) });
        life.hears(this.channel, publication);
        // Thrown, it is not handled, but the next one that is handled acknowledges both.
        life.passes(this.channel, epoch, offset);
        life.strike();
        life.handles(this.channel, epoch, offset);
      }),
      onGap: when('onGap', ({ reason, after, cursor }) => {
        if (!this.place) this.fault('a gap before it is confirmed');
        if (
          this.place &&
          this.place.epoch === cursor.epoch &&
          reason === 'retention' &&
          cursor.offset <= this.place.offset
        )
          this.fault('a gap of nothing');
        this.gaps.push({ reason, after, cursor });
        this.place = { epoch: cursor.epoch, offset: cursor.offset };
        life.strike();
      }),
      onPresence: when('onPresence', () => life.strike()),
      onUnsubscribed: when('onUnsubscribed', (error) => {
        this.fault(`unsubscribed: ${error.code} ${error.message}`);
        this.ended = true;
        life.strike();
      }),
    };
  }

  private subscribed({ epoch, offset }: Cursor): void {
    const { life } = this;
    if (this.toldOn === life.welcomes) this.fault('confirmed twice on one connection');
    this.toldOn = life.welcomes;
    if (this.place) {
      if (this.place.epoch !== epoch || this.place.offset !== offset)
        this.fault(`stands at ${JSON.stringify(this.place)} and is confirmed at ${offset} of ${epoch}`);
      return;
    }
    this.place = { epoch, offset };
    const { from } = this;
    if (from === 'start' && !this.wasStored && offset > 0 && !life.config.trims)
      this.fault(`begins at ${offset}`);
    if (from && typeof from === 'object' && from.epoch === epoch && from.offset !== offset)
      this.fault(`begins at ${offset}`);
    const handled = life.memory.handled.get(life.user + ' ' + this.channel + ' ' + epoch) ?? 0;
    if (from === 'acked' && life.user && offset > handled && !life.config.trims && !this.wasStored)
      this.fault(`begins at ${offset}, and ${handled} was handled last`);
    life.passes(this.channel, epoch, offset);
  }

  fault(what: string): void {
    this.life.world.fault(`${this.name}: ${what}`);
  }
}
