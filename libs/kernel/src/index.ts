export { AuthorityError, ERROR_KINDS, isAuthorityError } from './errors.js';
export type { ErrorKind, ErrorOptions } from './errors.js';
export { addSeconds, ManualClock, systemClock, wholeSecond } from './clock.js';
export type { Clock } from './clock.js';
export { loadConfig, PLANES } from './config.js';
export type { Config, PlaneRole } from './config.js';
export type { Lifetimes } from './lifetimes.js';
