/** The acts on users and sessions, which several screens offer. */

import { acts, operation } from './acts.svelte.ts';
import { t } from './i18n.svelte.ts';

export type Target = { user: string } | { session: string } | { label: { name: string; value: string } };

const nameOf = (target: Target): string =>
  'user' in target
    ? target.user
    : 'session' in target
      ? target.session
      : `${target.label.name}:${target.label.value}`;

const HOUR_MS = 3_600_000;
export const UNTIL: [string, () => string][] = [
  ['1', () => t('ban.hour')],
  ['24', () => t('ban.day')],
  ['168', () => t('ban.week')],
  ['', () => t('ban.forever')],
];

export function kick(target: Target, done?: () => void): void {
  acts.open({
    title: t('act.kick'),
    about: t('kick.about', { target: nameOf(target) }),
    button: t('act.kick'),
    danger: true,
    fields: [{ name: 'message', label: 'act.message', optional: true, hint: 'act.message_hint' }],
    run: operation('kick', ({ message }) => ({ target, ...(message && { message }) })),
    ...(done && { done }),
  });
}

export function disconnect(target: Target, done?: () => void): void {
  acts.open({
    title: t('act.disconnect'),
    about: t('disconnect.about', { target: nameOf(target) }),
    button: t('act.disconnect'),
    run: operation('disconnect', () => ({ target })),
    ...(done && { done }),
  });
}

/** Of a user or an address; without one, the dialog asks. */
export function ban(subject: { user?: string; address?: string }, done?: () => void): void {
  const value = subject.user ?? subject.address ?? '';
  acts.open({
    title: t('act.ban'),
    about: value ? t('ban.about', { subject: value }) : t('ban.about_any'),
    button: t('act.ban'),
    danger: true,
    fields: [
      {
        name: 'kind',
        label: 'ban.kind',
        value: subject.address ? 'address' : 'user',
        choices: [
          ['user', t('user')],
          ['address', t('address')],
        ],
      },
      { name: 'subject', label: 'ban.subject', value },
      {
        name: 'hours',
        label: 'ban.until',
        value: '24',
        choices: UNTIL.map(([hours, label]) => [hours, label()]),
      },
    ],
    run: (fields, reason) =>
      operation('ban', ({ kind, subject, hours }) => ({
        subject: { [kind!]: subject },
        ...(hours && { until: Date.now() + Number(hours) * HOUR_MS }),
        reason: within(reason, 256),
      }))(fields, reason),
    ...(done && { done }),
  });
}

export function unban(subject: { user?: string; address?: string }, done?: () => void): void {
  const { user, address } = subject;
  acts.open({
    title: t('act.unban'),
    about: t('unban.about', { subject: user ?? address ?? '' }),
    button: t('act.unban'),
    run: operation('unban', () => ({ subject: user === undefined ? { address } : { user } })),
    ...(done && { done }),
  });
}

export function revoke(user: string, done?: () => void): void {
  acts.open({
    title: t('act.revoke'),
    about: t('revoke.about', { user }),
    button: t('act.revoke'),
    danger: true,
    run: operation('revoke', () => ({ user })),
    ...(done && { done }),
  });
}

export function forget(user: string, done?: () => void): void {
  acts.open({
    title: t('act.forget'),
    about: t('forget.about', { user }),
    button: t('act.forget'),
    danger: true,
    run: operation('forget', () => ({ user })),
    ...(done && { done }),
  });
}

/** The beginning of a text that has at most so many bytes of UTF-8. */
export function within(text: string, bytesMax: number): string {
  const encoder = new TextEncoder();
  let short = text;
  while (encoder.encode(short).length > bytesMax) short = [...short].slice(0, -1).join('');
  return short;
}
