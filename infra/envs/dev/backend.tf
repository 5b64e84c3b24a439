# The bucket and its region are the account's: `make init` gives them by -backend-config.
terraform {
  backend "s3" {
    key          = "dev/terraform.tfstate"
    encrypt      = true
    use_lockfile = true
  }
}
