import { describe, expect, test } from '@jest/globals';
import { EST_OPERATIONS, isReservedLabel, parseEstPath } from './path.js';
import type { EstOperation } from './path.js';

const OPERATIONS = Object.keys(EST_OPERATIONS) as EstOperation[];

describe('EST paths', () => {
  test('E04 E05 E23b: every operation is found without a label, with one, and under a prefix', () => {
    for (const operation of OPERATIONS) {
      expect(parseEstPath(`/.well-known/est/${operation}`)).toEqual({ label: undefined, operation });
      expect(parseEstPath(`/.well-known/est/lab-1/${operation}`)).toEqual({ label: 'lab-1', operation });
      expect(parseEstPath(`/lab-1/.well-known/est/${operation}`)).toEqual({ label: 'lab-1', operation });
    }
  });

  test('a query does not change the operation', () => {
    expect(parseEstPath('/.well-known/est/cacerts?x=/../y')).toEqual({ label: undefined, operation: 'cacerts' });
  });

  test('E06: a label spelled like an operation or like the well-known segment is reserved, and 404 in a path', () => {
    for (const label of [...OPERATIONS, '.well-known']) {
      expect(isReservedLabel(label)).toBe(true);
      expect(parseEstPath(`/.well-known/est/${label}/cacerts`)).toBeUndefined();
      expect(parseEstPath(`/${label}/.well-known/est/cacerts`)).toBeUndefined();
    }
    expect(parseEstPath('/.well-known/est/%63acerts/cacerts')).toBeUndefined();
    for (const label of ['device', 'CACERTS', 'cacerts2', 'constructor', '__proto__']) {
      expect(isReservedLabel(label)).toBe(false);
    }
  });

  test('E07: a label keeps its case and is percent-decoded once', () => {
    expect(parseEstPath('/.well-known/est/Device/cacerts')?.label).toBe('Device');
    expect(parseEstPath('/.well-known/est/a%20b/cacerts')?.label).toBe('a b');
    expect(parseEstPath('/.well-known/est/%C3%BC/cacerts')?.label).toBe('ü');
    expect(parseEstPath('/.well-known/est/a%2541/cacerts')?.label).toBe('a%41');
  });

  test('E07 EX17: empty, dotted, slashed, broken and unreadable labels are 404', () => {
    const labels = [
      '',
      '.',
      '..',
      '%2e%2e',
      '%2E',
      'a%2Fb',
      'a%2fb',
      '%5C',
      '%00',
      '%0a',
      '%',
      '%zz',
      '%C3',
      '%3F',
      '%23',
    ];
    for (const label of labels) {
      expect(parseEstPath(`/.well-known/est/${label}/cacerts`)).toBeUndefined();
      expect(parseEstPath(`/${label}/.well-known/est/cacerts`)).toBeUndefined();
    }
  });

  test('what is not clearly an EST path is 404', () => {
    for (const path of [
      '',
      '/',
      'cacerts',
      '*',
      'https://host/.well-known/est/cacerts',
      '/.well-known/est',
      '/.well-known/est/',
      '/.well-known/est/cacerts/',
      '//.well-known/est/cacerts',
      '/.well-known//est/cacerts',
      '/.well-known/est/CACerts',
      '/.Well-Known/est/cacerts',
      '/.well-known/est/other',
      '/.well-known/est/constructor',
      '/.well-known/est/a/b/cacerts',
      '/a/.well-known/est/b/cacerts',
      '/a/b/.well-known/est/cacerts',
      '/x/.well-known/../.well-known/est/cacerts',
      '/cacerts',
      '/a/cacerts',
      `/.well-known/est/${'a'.repeat(2000)}/cacerts`,
    ]) {
      expect([path, parseEstPath(path)]).toEqual([path, undefined]);
    }
  });

  test('E09: GET serves cacerts and csrattrs, POST the rest', () => {
    const gets = OPERATIONS.filter((operation) => EST_OPERATIONS[operation].method === 'GET');
    expect(gets).toEqual(['cacerts', 'csrattrs']);
    for (const operation of OPERATIONS) {
      expect(EST_OPERATIONS[operation].requestType !== undefined).toBe(!gets.includes(operation));
    }
  });

  test('E08: the three mandatory operations are there', () => {
    for (const operation of ['cacerts', 'simpleenroll', 'simplereenroll'] as const) {
      expect(OPERATIONS).toContain(operation);
    }
  });
});
