import {
  Counter,
  Gauge,
  Histogram,
  type CounterConfiguration,
  type GaugeConfiguration,
  type HistogramConfiguration,
  type Registry,
} from 'prom-client';

export type { Counter, Gauge, Histogram, Registry } from 'prom-client';

/*
 * Several planes share one process and one registry, and each describes what it measures: the first one makes the metric,
 * the others use it.
 */

export function counter<L extends string>(registry: Registry, of: CounterConfiguration<L>): Counter<L> {
  return once(registry, of.name, () => new Counter({ ...of, registers: [registry] }));
}

export function gauge<L extends string>(registry: Registry, of: GaugeConfiguration<L>): Gauge<L> {
  return once(registry, of.name, () => new Gauge({ ...of, registers: [registry] }));
}

export function histogram<L extends string>(registry: Registry, of: HistogramConfiguration<L>): Histogram<L> {
  return once(registry, of.name, () => new Histogram({ ...of, registers: [registry] }));
}

function once<T>(registry: Registry, name: string, make: () => T): T {
  return (registry.getSingleMetric(name) as T | undefined) ?? make();
}
