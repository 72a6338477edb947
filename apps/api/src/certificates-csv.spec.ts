import { describe, expect, it } from '@jest/globals';
import { csvCell } from './certificates-csv.js';

describe('CSV export', () => {
  it('keeps commas, quotes and line ends within their cell', () => {
    expect(csvCell('a,"b"\r\nc')).toBe('"a,""b""\r\nc"');
  });

  it('never lets a spreadsheet take a name for a formula', () => {
    for (const text of ['=1+1', '+1', '-1', '@x', '\tx']) expect(csvCell(text)).toBe(`"'${text}"`);
  });
});
