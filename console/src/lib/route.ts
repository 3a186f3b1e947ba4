/** Where the page is: `#/sessions?user=ann`, `#/users/ann`. A hash needs nothing of the server. Pure. */

export interface Route {
  screen: string;
  /** What the screen is about: a user, a channel. */
  subject?: string;
  query: Record<string, string>;
}

export const SCREENS = [
  'overview',
  'sessions',
  'users',
  'channels',
  'hooks',
  'control',
  'audit',
  'phone',
] as const;
export type Screen = (typeof SCREENS)[number];

function decode(text: string): string {
  try {
    return decodeURIComponent(text.replace(/\+/g, ' '));
  } catch (_) {
    return text;
  }
}

export function parseRoute(hash: string): Route {
  const [path = '', search = ''] = hash.replace(/^#?\/?/, '').split(/\?(.*)/s);
  const [screen = '', ...rest] = path.split('/');
  const subject = decode(rest.join('/'));
  const query = Object.fromEntries(
    search
      .split('&')
      .filter(Boolean)
      .map(
        (pair) =>
          pair
            .split(/=(.*)/s)
            .slice(0, 2)
            .map((it) => decode(it ?? '')) as [string, string],
      ),
  );
  const known = (SCREENS as readonly string[]).includes(screen);
  return { screen: known ? screen : 'overview', query, ...(subject && { subject }) };
}

/** The address of a screen, for links. */
export function href(
  screen: Screen,
  subject?: string,
  query: Record<string, string | undefined> = {},
): string {
  const given = Object.entries(query).filter((it): it is [string, string] => Boolean(it[1]));
  const search = given.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&');
  return `#/${screen}${subject ? `/${encodeURIComponent(subject)}` : ''}${search ? `?${search}` : ''}`;
}
