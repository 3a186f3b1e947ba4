/** What is searched for, as the API takes it. Pure. */

export const FIELDS = ['who', 'address', 'platform', 'sdk', 'label'] as const;

/** 128 bits in base64url: the last character has two of them. */
const SESSION = /^[A-Za-z0-9_-]{21}[AQgw]$/;

export const isSessionId = (text: string): boolean => SESSION.test(text);

/** The query of what was filled in; a state is a question about connections. */
export function queryOf(fields: Record<string, string | undefined>): Record<string, string> {
  const given = (name: string) => (fields[name] ?? '').trim();
  const query: Record<string, string> = {};
  if (given('who')) query['user'] = given('who');
  for (const name of ['address', 'platform', 'sdk', 'node']) if (given(name)) query[name] = given(name);
  // `team=kitchen` is meant as `team:kitchen`.
  if (given('label')) query['label'] = given('label').replace(/^([^:=]+)=/, '$1:');
  if (given('state')) query['is_connected'] = String(given('state') === 'online');
  return query;
}
