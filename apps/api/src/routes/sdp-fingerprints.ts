import { Body, Controller, Post } from '@nestjs/common';
import { z } from 'zod';
import { AuthorityError, isAuthorityError } from '#kernel';
import { fromPem, readCertificate, sdpFingerprints } from '#pki';
import { Access } from '../access.js';
import { Answers } from '../answers.js';

const posted = z
  .strictObject({ certificate: z.string().min(1).max(60_000).meta({ description: 'PEM' }) })
  .meta({ id: 'PostedCertificate' });
const answer = z
  .strictObject({ sha256: z.string().meta({ description: 'lower-case hex' }), fingerprints: z.array(z.string()) })
  .meta({ id: 'CertificateFingerprints', description: 'SDP a=fingerprint lines (RFC 8122)' });

@Controller('v1/fingerprints')
export class SdpFingerprintRoutes {
  /** Of any certificate: one that is registered with a device is of somebody else, and nobody stores it. */
  @Post()
  @Access('certificate:read')
  @Answers('Fingerprints of any certificate as SDP attribute lines; nothing is stored', answer)
  compute(@Body({ schema: posted }) { certificate }: z.infer<typeof posted>): z.infer<typeof answer> {
    const read = readPem(certificate);
    const [first = ''] = sdpFingerprints(read);
    return {
      sha256: (first.split(' ')[1] ?? '').replaceAll(':', '').toLowerCase(),
      fingerprints: sdpFingerprints(read),
    };
  }
}

function readPem(pem: string) {
  try {
    const [first = Buffer.alloc(0)] = fromPem(pem, 'CERTIFICATE');
    return readCertificate(first);
  } catch (error) {
    if (!isAuthorityError(error)) throw error;
    throw new AuthorityError('invalid', `certificate: ${error.detail}`, { member: 'certificate', cause: error });
  }
}
