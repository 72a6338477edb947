/**
 * What is used of the package pkcs11js, declared here: it is optional, built by the machine that installs it, and where
 * that failed everything else still has to compile. Handles are what the library gave; constants are CK_ULONG.
 */
type Handle = Buffer;
type Attribute = { type: number; value?: boolean | number | string | Buffer };
type Mechanism = { mechanism: number };

interface Pkcs11 {
  load(path: string): void;
  C_Initialize(options: { flags: number }): void;
  C_GetSlotList(tokenPresent: boolean): Handle[];
  C_GetTokenInfo(slot: Handle): { label: string; flags: number };
  C_OpenSession(slot: Handle, flags: number): Handle;
  C_Login(session: Handle, userType: number, pin: string): void;
  C_FindObjectsInit(session: Handle, template: Attribute[]): void;
  C_FindObjects(session: Handle): Handle | null;
  C_FindObjectsFinal(session: Handle): void;
  C_SignInit(session: Handle, mechanism: Mechanism, key: Handle): void;
  C_SignAsync(session: Handle, data: Buffer, signature: Buffer): Promise<Buffer>;
  C_GenerateKeyPairAsync(
    session: Handle,
    mechanism: Mechanism,
    publicKey: Attribute[],
    privateKey: Attribute[],
  ): Promise<{ publicKey: Handle; privateKey: Handle }>;
  C_GetAttributeValue(session: Handle, object: Handle, template: Attribute[]): { type: number; value: Buffer }[];
}

type Constant =
  | 'CKA_CLASS'
  | 'CKA_DECRYPT'
  | 'CKA_DERIVE'
  | 'CKA_EC_PARAMS'
  | 'CKA_EC_POINT'
  | 'CKA_EXTRACTABLE'
  | 'CKA_ID'
  | 'CKA_LABEL'
  | 'CKA_MODULUS'
  | 'CKA_MODULUS_BITS'
  | 'CKA_PRIVATE'
  | 'CKA_PUBLIC_EXPONENT'
  | 'CKA_SENSITIVE'
  | 'CKA_SIGN'
  | 'CKA_TOKEN'
  | 'CKA_UNWRAP'
  | 'CKA_VERIFY'
  | 'CKF_OS_LOCKING_OK'
  | 'CKF_RW_SESSION'
  | 'CKF_SERIAL_SESSION'
  | 'CKF_USER_PIN_FINAL_TRY'
  | 'CKM_ECDSA'
  | 'CKM_EC_KEY_PAIR_GEN'
  | 'CKM_RSA_PKCS'
  | 'CKM_RSA_PKCS_KEY_PAIR_GEN'
  | 'CKO_PRIVATE_KEY'
  | 'CKU_USER';

export type TokenBinding = Record<Constant, number> & { PKCS11: new () => Pkcs11 };
