import { Readable } from 'node:stream';
import { Body, Controller, Get, Param, Post, Query, StreamableFile } from '@nestjs/common';
import { ApiProduces, ApiResponse } from '@nestjs/swagger';
import { z } from 'zod';
import {
  findCaRevocation,
  parseSerial,
  releaseCertificate,
  renewalAdvice,
  revokeCertificate,
  type Actor,
  type AuthorityContext,
} from '#authority';
import { readCertificate, sdpFingerprints } from '#pki';
import { findCertificate, isId, listCertificates, type CertificateFilter, type CertificateRow } from '#store';
import { Access } from '../access.js';
import { Answers } from '../answers.js';
import { By, Http, read, TheAuthority, type Exchange } from '../authority-module.js';
import { certificatesCsv } from '../certificates-csv.js';
import { needsApproval, proposedSchema } from '../proposals.js';
import {
  certificateJson,
  certificatePage,
  certificatePem,
  certificateQuery,
  certificateRevocation,
  certificateWithPemSchema,
  fingerprintsSchema,
} from '../schema/certificates.js';
import { receiptJson, receiptSchema } from '../schema/receipt.js';
import { renewalJson, renewalSchema } from '../schema/renewals.js';
import { nothing } from '../schema/values.js';
import { absent, found, serialNumber } from './path-forms.js';

@Controller('v1/certificates')
export class CertificateRoutes {
  constructor(@TheAuthority() private readonly a: AuthorityContext) {}

  @Get()
  @Access('certificate:read')
  @ApiProduces('application/json', 'text/csv')
  @Answers('List certificates; Accept: text/csv exports every one that the filters let through', certificatePage)
  async list(
    @By() by: Actor,
    @Http() http: Exchange,
    @Query({ schema: certificateQuery }) query: z.infer<typeof certificateQuery>,
  ) {
    const filter = filterOf(query);
    void http.reply.header('vary', 'Accept');
    if (/(?:^|,)\s*text\/csv\b/i.test(http.request.headers.accept ?? '')) {
      void http.reply.header('content-disposition', 'attachment; filename="certificates.csv"');
      return new StreamableFile(Readable.from(certificatesCsv(this.a, by, filter)), {
        type: 'text/csv; charset=utf-8',
      });
    }
    if (filter === undefined) return { items: [], nextCursor: null };
    const page = await read(this.a, by, (tx) => listCertificates(tx, query, filter, this.a.clock.now()));
    return { items: page.items.map((row) => certificateJson(this.a, row)), nextCursor: page.nextCursor };
  }

  @Get(':serial')
  @Access('certificate:read')
  @Answers('Get a certificate with its PEM', certificateWithPemSchema)
  async get(@By() by: Actor, @Param('serial', serialNumber) serial: string) {
    const row = await this.require(by, serial);
    return { ...certificateJson(this.a, row), pem: certificatePem(row) };
  }

  @Get(':serial/fingerprints')
  @Access('certificate:read')
  @Answers('Fingerprints of a certificate as SDP attribute lines', fingerprintsSchema)
  async fingerprints(@By() by: Actor, @Param('serial', serialNumber) serial: string) {
    const row = await this.require(by, serial);
    if (row.der === null) throw absent('certificate');
    return { serial: row.serial.toString('hex'), fingerprints: sdpFingerprints(readCertificate(row.der)) };
  }

  @Get(':serial/renewal')
  @Access('certificate:read')
  @Answers('When a certificate that is good is to be renewed', renewalSchema)
  async renewal(@By() by: Actor, @Param('serial', serialNumber) serial: string) {
    return renewalJson(found(await renewalAdvice(this.a, by, serial), 'certificate'));
  }

  @Post(':serial/revoke')
  @Access('certificate:revoke')
  @Answers('Revoke a certificate, or hold it with reason certificateHold', z.union([receiptSchema, proposedSchema]))
  @ApiResponse({ status: 202, description: 'Of a CA: proposed, as by the issuer', standardSchema: proposedSchema })
  async revoke(
    @By() by: Actor,
    @Http() http: Exchange,
    @Param('serial', serialNumber) serial: string,
    @Body({ schema: certificateRevocation }) body: z.infer<typeof certificateRevocation>,
  ) {
    const { reason } = body;
    const invalidityDate = body.invalidityDate === undefined ? undefined : new Date(body.invalidityDate);
    // To others a CA's certificate is one that does not exist.
    const ofCa = by.authority ? await findCaRevocation(this.a, by, parseSerial(serial)) : undefined;
    if (ofCa) return needsApproval(this.a, by, http, (joined) => ofCa(joined, reason));
    return receiptJson(await revokeCertificate(this.a, by, serial, { reason, invalidityDate }));
  }

  @Post(':serial/release')
  @Access('certificate:release')
  @Answers('Lift the hold of a certificate', receiptSchema)
  async release(
    @By() by: Actor,
    @Param('serial', serialNumber) serial: string,
    @Body({ schema: nothing }) _: z.infer<typeof nothing>,
  ) {
    return receiptJson(await releaseCertificate(this.a, by, serial));
  }

  private async require(by: Actor, serial: string): Promise<CertificateRow> {
    const bytes = found(parseSerial(serial), 'certificate');
    return found(await read(this.a, by, (tx) => findCertificate(tx, bytes)), 'certificate');
  }
}

/** undefined: an id of impossible form, which no certificate has. */
function filterOf(query: z.infer<typeof certificateQuery>): CertificateFilter | undefined {
  const { status, deviceId, ra, profile, expiresBefore, q } = query;
  if ([deviceId, ra].some((one) => one !== undefined && !isId(one))) return undefined;
  return {
    status,
    deviceId,
    raId: ra,
    profile,
    q,
    ...(expiresBefore !== undefined && { expiresBefore: new Date(expiresBefore) }),
  };
}
