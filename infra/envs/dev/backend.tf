# The bucket, its region and its key are the account's: `make init` gives them by -backend-config. Without the key
# Terraform would ask S3 for its own, whatever the bucket's default is.
terraform {
  backend "s3" {
    key          = "dev/terraform.tfstate"
    encrypt      = true
    use_lockfile = true
  }
}
