/**
 * What an app says about itself, so that the compiler knows its methods and channels: `new Tautline<MyApp>(…)`.
 *
 * All of it is optional, and none of it exists when the program runs.
 */

/** Methods by name, and what is published by channel: `user:*` stands for every channel that begins with `user:`. */
export interface App {
  /** `{ bindCard: { data: { card: string }; result: { ok: boolean } } }` */
  methods?: object;
  /** `{ news: News; 'user:*': Notice }` */
  channels?: object;
}

/** The methods that an app names; none where it names none. */
export type MethodOf<A extends App> = A extends { methods: infer M } ? keyof M & string : never;

/** Any method, where the app names none. Where it does, another one is a slip of the pen. */
export type AnyMethod<A extends App> = A extends { methods: object } ? never : string;

/** What a method is asked with. */
export type DataOf<A extends App, M> = A extends { methods: infer Ms } ? Named<Ms, M, 'data'> : unknown;

/** What a method answers. */
export type ResultOf<A extends App, M> = A extends { methods: infer Ms } ? Named<Ms, M, 'result'> : unknown;

type Named<Ms, M, K extends string> = M extends keyof Ms
  ? Ms[M] extends { [key in K]: infer T }
    ? T
    : undefined
  : unknown;

/** What is published on a channel: its own type, else that of the pattern that it fits, else `unknown`. */
export type EventOf<A extends App, C extends string> = A extends { channels: infer Cs }
  ? C extends keyof Cs
    ? Cs[C]
    : Fitting<Cs, C>
  : unknown;

type Fitting<Cs, C extends string> = [PatternsOf<Cs, C>] extends [never] ? unknown : Cs[PatternsOf<Cs, C>];

type PatternsOf<Cs, C extends string> = keyof {
  [P in keyof Cs as P extends `${infer Start}*` ? (C extends `${Start}${string}` ? P : never) : never]: P;
} &
  keyof Cs;
