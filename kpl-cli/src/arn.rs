//! The ARN of a stream.

/// What it starts with, whether it is a valid one or not.
pub(crate) const START: &str = "arn:";

pub(crate) const EXAMPLE: &str = "arn:aws:kinesis:eu-central-1:111122223333:stream/clicks";

/// Returns the region of a stream's ARN, or `None` if it is not one.
pub(crate) fn region(arn: &str) -> Option<&str> {
    let mut parts = arn.splitn(6, ':');
    let mut next = || parts.next().filter(|part| !part.is_empty());
    let (arn, partition, service) = (next()?, next()?, next()?);
    let (region, account, resource) = (next()?, next()?, next()?);
    let is_stream = resource.strip_prefix("stream/").is_some_and(|name| !name.is_empty());
    let is_arn = arn == "arn" && partition.starts_with("aws") && service == "kinesis";
    let is_account = account.bytes().all(|byte| byte.is_ascii_digit());
    (is_arn && is_account && is_stream).then_some(region)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_has_a_region() {
        assert_eq!(
            region("arn:aws-cn:kinesis:cn-north-1:111122223333:stream/clicks"),
            Some("cn-north-1")
        );
        for wrong in [
            "clicks",
            "arn:aws:kinesis:eu-central-1:111122223333:clicks",
            "arn:aws:kinesis::111122223333:stream/clicks",
            "arn:aws:dynamodb:eu-central-1:111122223333:stream/clicks",
            "arn:aws:kinesis:eu-central-1:111122223333:stream/",
        ] {
            assert_eq!(region(wrong), None, "{wrong}");
        }
    }
}
