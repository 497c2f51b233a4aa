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
    enum __Written<K, T>
    where
        Vec<T>: __kpl::serde::Serialize,
    {
        Created { #[serde(skip)] key: K, body: Vec<T> },
        #[serde(rename = "tick")]
        Tick(u8, #[serde(with = "other")] T),
    }
    struct __WrittenRef<'__kpl, K, T>(
        &'__kpl Event<K, T>,
    )
    where
        Vec<T>: __kpl::serde::Serialize;
    #[automatically_derived]
    impl<'__kpl, K, T> __kpl::serde::Serialize for __WrittenRef<'__kpl, K, T>
    where
        Vec<T>: __kpl::serde::Serialize,
    {
        fn serialize<__S>(&self, __serializer: __S) -> __kpl::Result<__S::Ok, __S::Error>
        where
            __S: __kpl::serde::Serializer,
        {
            __Written::<K, T>::serialize(self.0, __serializer)
        }
    }
    #[automatically_derived]
    impl<K, T> __kpl::KplRecord for Event<K, T>
    where
        Vec<T>: __kpl::serde::Serialize,
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
                Self::Created { key: __field_key, .. } => {
                    (&&&&__kpl::Probe::of(__field_key))
                        .key_kind()
                        .key(__field_key, __buffer)
                }
                Self::Tick { 0: __field_0, .. } => {
                    (&&&&__kpl::Probe::of(__field_0)).key_kind().key(__field_0, __buffer)
                }
            }
        }
        #[inline]
        fn payload<'__a>(
            &'__a self,
            __buffer: &'__a mut __kpl::Vec<__kpl::u8>,
        ) -> __kpl::Result<&'__a [__kpl::u8], __kpl::CodecError> {
            __kpl::encode_elided::<Json, _>(&__WrittenRef(self), __buffer)?;
            __kpl::Ok(__buffer)
        }
        #[inline]
        fn always_wrapped(&self) -> __kpl::bool {
            __kpl::core::matches!(self, Self::Created { .. })
        }
    }
    #[derive(__kpl::serde::Deserialize)]
    #[serde(crate = "__kpl::serde")]
    #[serde(rename = "Event")]
    enum __Read<K, T> {
        Created { #[serde(skip)] key: __kpl::PhantomData<fn() -> K>, body: Vec<T> },
        #[serde(rename = "tick")]
        Tick(u8, #[serde(with = "other")] T),
    }
    #[automatically_derived]
    impl<'__kpl, K, T> __kpl::FromKplRecord<'__kpl> for Event<K, T>
    where
        __Read<K, T>: __kpl::serde::Deserialize<'__kpl>,
        K: __kpl::ElidedField,
    {
        #[inline]
        fn from_user_record(
            __record: &__kpl::UserRecord<'__kpl>,
        ) -> __kpl::Result<Self, __kpl::ReadError> {
            use __kpl::{ViaBorrow as _, ViaParse as _};
            let __read: __Read<K, T> = __kpl::decode_elided::<Json, _>(__record.data)?;
            __kpl::Ok(
                match __read {
                    __Read::Created { key: _, body: __field_body } => {
                        Self::Created {
                            key: (&__kpl::Probe::<K>::new())
                                .restore_kind()
                                .restore::<K>("key", __record.partition_key)?,
                            body: __field_body,
                        }
                    }
                    __Read::Tick { 0: __field_0, 1: __field_1 } => {
                        Self::Tick {
                            0: __field_0,
                            1: __field_1,
                        }
                    }
                },
            )
        }
    }
};
