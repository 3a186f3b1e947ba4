/** Asks the server. All addresses are relative to the page, so any prefix in front of it will do. */

import type { Account } from './types.ts';

/** A refusal, as RFC 9457 words it. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
    readonly retryAfterMs?: number,
    /** No account exists yet. */
    readonly setup = false,
  ) {
    super(detail);
  }
}

export interface Ask {
  method?: 'GET' | 'POST' | 'DELETE';
  body?: unknown;
  /** Why, for the audit log: acts need one. */
  reason?: string;
  signal?: AbortSignal;
}

/** A part of a path: as it is in names, but never a way out of it. */
export const segment = (text: string): string => encodeURIComponent(text);

/** The query of what is given: what is empty is left out. */
export function query(values: Record<string, string | number | boolean | null | undefined>): string {
  const given = Object.entries(values).filter(
    ([, value]) => value !== undefined && value !== null && value !== '',
  );
  return given.length
    ? `?${given.map(([name, value]) => `${name}=${segment(String(value))}`).join('&')}`
    : '';
}

export class Api {
  account: Account | undefined;
  /** Called when the server knows the session no more. */
  onSignedOut: () => void = () => undefined;

  constructor(private readonly base: string) {}

  url(path: string): string {
    return new URL(path, this.base).href;
  }

  /** The address of a WebSocket, which the server may give relative to the page. */
  socketUrl(path: string): string {
    return this.url(path).replace(/^http/, 'ws');
  }

  async ask<T>(path: string, { method = 'GET', body, reason, signal }: Ask = {}): Promise<T> {
    const headers: Record<string, string> = { accept: 'application/json' };
    if (body !== undefined) headers['content-type'] = 'application/json';
    if (method !== 'GET' && this.account) headers['x-csrf-token'] = this.account.csrf;
    // Headers are Latin-1.
    if (reason !== undefined) headers['x-reason'] = encodeURIComponent(reason);
    const text = body === undefined ? undefined : JSON.stringify(body);
    let response: Response;
    try {
      const how: RequestInit = {
        method,
        headers,
        credentials: 'same-origin',
        redirect: 'error',
        cache: 'no-store',
      };
      response = await fetch(this.url(path), {
        ...how,
        ...(text && { body: text }),
        ...(signal && { signal }),
      });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new Problem(0, 'unreachable', String(error));
    }
    // What is done may have nothing to say: 202, 204.
    const said = response.ok ? await response.text() : '';
    if (response.ok) return (said ? JSON.parse(said) : undefined) as T;
    throw await this.refusal(response, path);
  }

  post<T>(path: string, body: unknown = {}, reason?: string): Promise<T> {
    return this.ask<T>(path, { method: 'POST', body, ...(reason !== undefined && { reason }) });
  }

  private async refusal(response: Response, path: string): Promise<Problem> {
    const said = (await response.json().catch(() => ({}))) as Record<string, unknown>;
    const seconds = Number(response.headers.get('retry-after'));
    const retryAfterMs =
      typeof said['retry_after_ms'] === 'number' ? said['retry_after_ms'] : seconds * 1_000;
    const { status } = response;
    if (status === 401 && path !== 'session') {
      this.account = undefined;
      this.onSignedOut();
    }
    const code = String(said['code'] ?? status);
    const detail = String(said['detail'] ?? said['title'] ?? response.statusText);
    return new Problem(status, code, detail, retryAfterMs || undefined, said['setup'] === true);
  }
}
