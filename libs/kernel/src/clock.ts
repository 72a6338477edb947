/** Time is an argument everywhere (lint forbids `Date.now()` and `new Date()` outside this file). */
export interface Clock {
  /** Wall-clock time, for what is written down and sent. */
  now(): Date;
  /** Milliseconds that only rise, for durations and deadlines. */
  monotonicMs(): number;
}

export const systemClock: Clock = {
  now: () => new Date(),
  monotonicMs: () => performance.now(),
};

/** A clock that stands still until told otherwise; for tests and dry runs. */
export class ManualClock implements Clock {
  private ms: number;

  constructor(start: Date) {
    this.ms = start.getTime();
  }

  now(): Date {
    return new Date(this.ms);
  }

  monotonicMs(): number {
    return this.ms;
  }

  advance(ms: number): void {
    this.ms += ms;
  }
}

/** `date` moved by `seconds`. */
export function addSeconds(date: Date, seconds: number): Date {
  return new Date(date.getTime() + seconds * 1000);
}

/** X.509, CRL and OCSP times carry whole seconds: the part below is cut off, never rounded up into the future. */
export function wholeSecond(date: Date): Date {
  return new Date(Math.floor(date.getTime() / 1000) * 1000);
}
