import { availableParallelism, loadavg } from 'node:os';

/** How many want each core, at least 1: what others do on the machine takes that much longer by the clock. */
export const crowding = (): number => Math.max(1, (loadavg()[0] ?? 0) / availableParallelism());
