#[doc(hidden)]
#[allow(
    dead_code,
    deprecated,
    non_snake_case,
    private_bounds,
    unused_qualifications,
    clippy::absolute_paths
)]
const _: () = {
    use ::kpl::derive_support as __kpl;
    #[derive(__kpl::serde::Serialize)]
    #[serde(crate = "__kpl::serde")]
    #[serde(rename = "Event")]
    #[serde(remote = "Event")]
    #[serde(bound(serialize = ""))]
    enum __Written<K, T, U>
    where
        (T, u8): __kpl::serde::Serialize,
        [U; 2]: __kpl::serde::Serialize,
        T: Clone,
        U: Copy,
    {
        Tuple { #[serde(skip)] key: K, pair: (T, u8), list: [U; 2] },
        #[serde(bound = "T: Clone")]
        Bound { #[serde(skip)] key: K, bound: T },
        #[serde(rename(serialize = "bound"), bound(serialize = "U: Copy"))]
        Renamed { #[serde(skip)] key: K, renamed: U },
        #[serde(skip_serializing)]
        Skipped { #[serde(skip)] key: K, skipped: U },
    }
    struct __WrittenRef<'__kpl, K, T, U>(
        &'__kpl Event<K, T, U>,
    )
    where
        (T, u8): __kpl::serde::Serialize,
        [U; 2]: __kpl::serde::Serialize,
        T: Clone,
        U: Copy;
    #[automatically_derived]
    impl<'__kpl, K, T, U> __kpl::serde::Serialize for __WrittenRef<'__kpl, K, T, U>
    where
        (T, u8): __kpl::serde::Serialize,
        [U; 2]: __kpl::serde::Serialize,
        T: Clone,
        U: Copy,
    {
        fn serialize<__S>(&self, __serializer: __S) -> __kpl::Result<__S::Ok, __S::Error>
        where
            __S: __kpl::serde::Serializer,
        {
            __Written::<K, T, U>::serialize(self.0, __serializer)
        }
    }
    #[automatically_derived]
    impl<K, T, U> __kpl::KplRecord for Event<K, T, U>
    where
        (T, u8): __kpl::serde::Serialize,
        [U; 2]: __kpl::serde::Serialize,
        T: Clone,
        U: Copy,
        K: __kpl::KeyField,
        K: __kpl::KeyField,
        K: __kpl::KeyField,
        K: __kpl::KeyField,
    {
        #[inline]
        fn partition_key<'__a>(
            &'__a self,
            __buffer: &'__a mut __kpl::String,
        ) -> __kpl::Result<&'__a __kpl::str, __kpl::KeyError> {
            use __kpl::{
                ViaAsRef as _, ViaDisplay as _, ViaOption as _, ViaOther as _,
                ViaText as _,
            };
            match self {
                Self::Tuple { key: __field_key, .. } => {
                    (&&&&__kpl::Probe::of(__field_key))
                        .key_kind()
                        .key(__field_key, __buffer)
                }
                Self::Bound { key: __field_key, .. } => {
                    (&&&&__kpl::Probe::of(__field_key))
                        .key_kind()
                        .key(__field_key, __buffer)
                }
                Self::Renamed { key: __field_key, .. } => {
                    (&&&&__kpl::Probe::of(__field_key))
                        .key_kind()
                        .key(__field_key, __buffer)
                }
                Self::Skipped { key: __field_key, .. } => {
                    (&&&&__kpl::Probe::of(__field_key))
                        .key_kind()
                        .key(__field_key, __buffer)
                }
            }
        }
        #[inline]
        fn payload<'__a>(
            &'__a self,
            __buffer: &'__a mut __kpl::Vec<__kpl::u8>,
        ) -> __kpl::Result<&'__a [__kpl::u8], __kpl::CodecError> {
            __kpl::encode_elided::<kpl::codec::Json, _>(&__WrittenRef(self), __buffer)?;
            __kpl::Ok(__buffer)
        }
        #[inline]
        fn always_wrapped(&self) -> __kpl::bool {
            true
        }
    }
    #[derive(__kpl::serde::Deserialize)]
    #[serde(crate = "__kpl::serde")]
    #[serde(rename = "Event")]
    enum __Read<K, T, U> {
        Tuple {
            #[serde(skip)]
            key: __kpl::PhantomData<fn() -> K>,
            pair: (T, u8),
            list: [U; 2],
        },
        #[serde(bound = "T: Clone")]
        Bound { #[serde(skip)] key: __kpl::PhantomData<fn() -> K>, bound: T },
        #[serde(rename(serialize = "bound"), bound(serialize = "U: Copy"))]
        Renamed { #[serde(skip)] key: __kpl::PhantomData<fn() -> K>, renamed: U },
        #[serde(skip_serializing)]
        Skipped { #[serde(skip)] key: __kpl::PhantomData<fn() -> K>, skipped: U },
    }
    #[automatically_derived]
    impl<'__kpl, K, T, U> __kpl::FromKplRecord<'__kpl> for Event<K, T, U>
    where
        __Read<K, T, U>: __kpl::serde::Deserialize<'__kpl>,
        K: __kpl::ElidedField,
        K: __kpl::ElidedField,
        K: __kpl::ElidedField,
        K: __kpl::ElidedField,
    {
        #[inline]
        fn from_user_record(
            __record: &__kpl::UserRecord<'__kpl>,
        ) -> __kpl::Result<Self, __kpl::ReadError> {
            use __kpl::{ViaBorrow as _, ViaParse as _};
            let __read: __Read<K, T, U> = __kpl::decode_elided::<
                kpl::codec::Json,
                _,
            >(__record.data)?;
            __kpl::Ok(
                match __read {
                    __Read::Tuple { key: _, pair: __field_pair, list: __field_list } => {
                        Self::Tuple {
                            key: (&__kpl::Probe::<K>::new())
                                .restore_kind()
                                .restore::<K>("key", __record.partition_key)?,
                            pair: __field_pair,
                            list: __field_list,
                        }
                    }
                    __Read::Bound { key: _, bound: __field_bound } => {
                        Self::Bound {
                            key: (&__kpl::Probe::<K>::new())
                                .restore_kind()
                                .restore::<K>("key", __record.partition_key)?,
                            bound: __field_bound,
                        }
                    }
                    __Read::Renamed { key: _, renamed: __field_renamed } => {
                        Self::Renamed {
                            key: (&__kpl::Probe::<K>::new())
                                .restore_kind()
                                .restore::<K>("key", __record.partition_key)?,
                            renamed: __field_renamed,
                        }
                    }
                    __Read::Skipped { key: _, skipped: __field_skipped } => {
                        Self::Skipped {
                            key: (&__kpl::Probe::<K>::new())
                                .restore_kind()
                                .restore::<K>("key", __record.partition_key)?,
                            skipped: __field_skipped,
                        }
                    }
                },
            )
        }
    }
};
