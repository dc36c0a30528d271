/** What tells a page that the element shows the page, or why it does not. */
export interface DuiaLiveEvents {
  /** The page is there. */
  "duia-ready": CustomEvent<null>;
  /** It is not; the element shows the same sentence. */
  "duia-trouble": CustomEvent<{ message: string }>;
}

/** `<duia-live>`. Each property is the attribute of its name, and null where it is not given. docs/embedding.md has them all. */
export declare class DuiaLive extends HTMLElement {
  /** Sizes and data to begin with: `browser`, `long`, `calibrated` or `paper`. */
  preset: string | null;
  /** A whole number: one seed, one run. */
  seed: string | null;
  /** Models that race, the baseline first: `ple,duia`. */
  variants: string | null;
  /** `auto`, `gpu` or `cpu`. */
  device: string | null;
  /** `on` or `off`: whether a sample of real rows beside the page is used. */
  sample: string | null;
  /** `on` or `off`: whether it trains by itself. */
  autoplay: string | null;
  /** A lesson by its name: `collapse`. */
  lesson: string | null;
  /** The lesson's step, from 1. */
  step: string | null;
  /** `system`, `light` or `dark`. */
  theme: string | null;
  /** Parts to leave out: `headline,losses,data`. */
  hide: string | null;
  /** Large type, for a room: `1` or `0`. */
  present: string | null;
  /** Any other keys of a link: `history=5&centres=64`. */
  settings: string | null;
  /** Where the page lies; without it, in `page/` beside this module. */
  src: string | null;
  /** `lazy` opens the page once it is nearly in sight. */
  loading: string | null;

  addEventListener<K extends keyof DuiaLiveEvents>(
    type: K,
    listener: (this: DuiaLive, event: DuiaLiveEvents[K]) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject, options?: boolean | AddEventListenerOptions): void;
}

declare global {
  interface HTMLElementTagNameMap {
    "duia-live": DuiaLive;
  }
}
