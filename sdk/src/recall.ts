/**
 * Takes a publication back (撤回). A recall is a publication of its own, in the same channel: its data is
 * `{"$recall":{"epoch":…,"offset":…}}` (protocol, section 5). The log keeps both; clients hide what was recalled.
 */

import { assign } from './assign.js';
import { forwarding } from './forwarding.js';
import type { HistoryPage, Published, RequestOptions, SubscriptionHandlers } from './options.js';
import type { PublicationOutput } from './types.js';
import type { Tautline } from './tautline.js';

/** Where a publication stands: what `publish` gave, or a publication of this channel. */
export interface RecalledPlace {
  epoch: string;
  offset: number;
}

/** A publication was recalled. */
export interface Recall extends RecalledPlace {
  channel: string;
  /** When it was recalled, in wall milliseconds of the server. */
  at: number;
  /** The user who recalled it; absent for back ends and guests. Compare it with the author, unless the back end does. */
  from?: string | undefined;
}

/** Handlers that hear of recalls apart from other publications. */
export interface RecallHandlers<T = unknown> extends SubscriptionHandlers<T> {
  /** A publication was recalled. It may be one that this app has never seen. */
  onRecalled?(recall: Recall): unknown;
}

/** Recalls a publication for everybody who reads the channel. Whoever may publish there may recall: the back end decides. */
export function recall(
  line: Pick<Tautline, 'publish'>,
  channel: string,
  of: RecalledPlace,
  options?: RequestOptions,
): Promise<Published> {
  return line.publish(channel, { $recall: { epoch: of.epoch, offset: of.offset } }, options);
}

/** What a publication's data recalls; nothing where it is no recall. */
export function recalledBy(data: unknown): RecalledPlace | undefined {
  const its = ((data || {}) as { $recall?: RecalledPlace }).$recall;
  return its && typeof its.epoch === 'string' && typeof its.offset === 'number' ? its : undefined;
}

/** Handlers for `line.subscribe` and `line.inbox`: recalls go to `onRecalled`, everything else to `onPublication`. */
export function withRecalls<T = unknown>(handlers: RecallHandlers<T>): SubscriptionHandlers<T> {
  return assign(
    forwarding(() => handlers),
    {
      onPublication(publication: PublicationOutput & { data: T }): unknown {
        const of = recalledBy(publication.data);
        if (!of) return handlers.onPublication && handlers.onPublication(publication);
        const { channel, epoch, at, from } = publication;
        // One that is about a log of before finds nothing here.
        if (of.epoch !== epoch || !handlers.onRecalled) return undefined;
        return handlers.onRecalled({ channel, epoch, offset: of.offset, at, from });
      },
    },
  );
}

/** The publications of a page, without recalls and without what a recall on the same page takes back. */
export function withoutRecalled({ epoch, publications }: HistoryPage): HistoryPage['publications'] {
  const gone: { [offset: number]: boolean } = {};
  publications.forEach(({ data, offset }) => {
    const of = recalledBy(data);
    if (!of) return;
    gone[offset] = true;
    if (of.epoch === epoch) gone[of.offset] = true;
  });
  return publications.filter(({ offset }) => !gone[offset]);
}
