/* SPDX-License-Identifier: Apache-2.0
 *
 * aws.h: the provider of aws-kms://arn:aws:kms:REGION:ACCOUNT:key/ID and .../alias/NAME: AWS Key Management Service.
 * keyring/README.md says where credentials come from and what its errors mean.
 */
#ifndef BH_KMS_AWS_H
#define BH_KMS_AWS_H

#include "keyring/kms/provider/provider.h"

extern const bh_kms_provider bh_kms_provider_aws;

#endif
