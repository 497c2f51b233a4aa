#[derive(KplRecord)]
#[kpl(codec = Json)]
struct Event<'a, K: Clone, T = u8, const N: usize = 1>
where
    T: Copy,
{
    #[kpl(partition_key)]
    key: K,
    #[kpl(tag = "tag")]
    tag: Option<T>,
    body: &'a [u8; N],
}
