"""Keras's classes of operations, by the module that has them: what files name operations by.

After a colon come the arguments that are configuration there. Functions of `seqc.ops` have the same names in snake
case, and their arguments are called the same.
"""

CLASSES = {
    "numpy": """
        Abs Absolute Add All:axis,keepdims AllClose:rtol,atol,equal_nan Amax:axis,keepdims Amin:axis,keepdims Angle
        Any:axis,keepdims Append:axis Arccos Arccosh Arcsin Arcsinh Arctan Arctan2 Arctanh Argmax:axis,keepdims
        Argmin:axis,keepdims Argpartition:kth,axis Argsort:axis Array:dtype ArraySplit:indices_or_sections,axis
        Average:axis
        BitwiseAnd BitwiseInvert BitwiseLeftShift BitwiseNot BitwiseOr BitwiseRightShift BitwiseXor BroadcastTo:shape
        Cbrt Ceil Clip:x_min,x_max Concatenate:axis Conj Conjugate Copy Corrcoef Correlate:mode Cos Cosh
        CountNonzero:axis Cross:axisa,axisb,axisc,axis Cumprod:axis,dtype Cumsum:axis,dtype
        Deg2rad Diag:k Diagflat:k Diagonal:offset,axis1,axis2 Diff:n,axis Digitize Divide DivideNoNan Dot
        Dsplit:indices_or_sections Dstack
        Einsum:subscripts EmptyLike:dtype Equal Exp Exp2 ExpandDims:axis Expm1
        Fabs Flip:axis Fliplr Flipud Floor FloorDivide Fmax Fmin Fmod FullLike:dtype
        Gcd Geomspace:num,endpoint,dtype,axis GetItem Greater GreaterEqual
        Heaviside Hsplit:indices_or_sections Hstack Hypot
        I0 Imag Inner Isclose:equal_nan Isfinite IsIn:assume_unique,invert Isinf Isnan Isneginf Isposinf Isreal
        Kron
        Lcm Ldexp LeftShift Less LessEqual Linspace:num,endpoint,retstep,dtype,axis Log Log10 Log1p Log2 Logaddexp
        Logaddexp2 LogicalAnd LogicalNot LogicalOr LogicalXor Logspace:num,endpoint,base,dtype,axis
        Matmul Max:axis,keepdims,initial Maximum Mean:axis,keepdims Median:axis,keepdims Meshgrid:indexing
        Min:axis,keepdims,initial Minimum Mod Moveaxis:source,destination Multiply
        Nanargmax:axis,keepdims Nanargmin:axis,keepdims Nancumprod:axis,dtype Nancumsum:axis,dtype
        Nanmax:axis,keepdims Nanmean:axis,keepdims Nanmedian:axis,keepdims Nanmin:axis,keepdims
        Nanpercentile:axis,method,keepdims Nanprod:axis,keepdims Nanquantile:axis,method,keepdims Nanstd:axis,keepdims
        Nansum:axis,keepdims NanToNum:nan,posinf,neginf Nanvar:axis,keepdims Negative Nextafter NotEqual
        OnesLike:dtype Outer
        Pad:pad_width,mode Percentile:axis,method,keepdims Power Prod:axis,keepdims,dtype Ptp:axis,keepdims
        Quantile:axis,method,keepdims
        Rad2deg Ravel Real Reciprocal Repeat:repeats,axis Reshape:newshape RightShift Roll:shift,axis Rot90:k,axes
        Round:decimals
        SearchSorted:side Select Sign Signbit Sin Sinc Sinh Slogdet Sort:axis Split:indices_or_sections,axis Sqrt
        Square Squeeze:axis Stack:axis Std:axis,keepdims Subtract Sum:axis,keepdims Swapaxes:axis1,axis2
        Take:axis TakeAlongAxis:axis Tan Tanh Tensordot:axes Tile:repeats Trace:offset,axis1,axis2 Transpose:axes
        Trapezoid:x,dx,axis Tril:k Triu:k TrueDivide Trunc
        Unique:sorted,return_index,return_inverse,return_counts,axis,size,fill_value UnravelIndex:shape
        Vander:N,increasing Var:axis,keepdims Vdot View:dtype Vsplit:indices_or_sections Vstack
        Where
        ZerosLike:dtype
    """,
    "einops": "Rearrange",
    "image": """
        AffineTransform:interpolation,fill_mode,fill_value,data_format
        CropImages:top_cropping,left_cropping,bottom_cropping,right_cropping,target_height,target_width,data_format
        ExtractPatches:size,strides,dilation_rate,padding,data_format
        GaussianBlur:kernel_size,sigma,data_format HSVToRGB:data_format MapCoordinates:order,fill_mode,fill_value
        PadImages:top_padding,left_padding,bottom_padding,right_padding,target_height,target_width,data_format
        PerspectiveTransform:interpolation,fill_value,data_format
        Resize:size,interpolation,antialias,data_format,crop_to_aspect_ratio,pad_to_aspect_ratio,fill_mode,fill_value
        RGBToGrayscale:data_format RGBToHSV:data_format ScaleAndTranslate:spatial_dims,method,antialias
        SobelEdges:data_format SSIM:max_val,filter_size,filter_sigma,k1,k2,data_format
    """,
    "nn": """
        AveragePool:pool_size,strides,padding,data_format
        BatchNorm:axis,epsilon BinaryCrossentropy:from_logits
        CategoricalCrossentropy:from_logits,axis Celu:alpha Conv:strides,padding,data_format,dilation_rate
        DepthToSpace:block_size,data_format DepthwiseConv:strides,padding,data_format,dilation_rate
        DotProductAttention:is_causal,flash_attention,attn_logits_soft_cap
        Elu:alpha
        Fold:output_size,kernel_size,dilation,padding,stride
        Gelu:approximate Glu:axis
        HardShrink:threshold HardSigmoid HardSilu HardTanh
        LayerNorm:axis,epsilon,rms_scaling LeakyRelu:negative_slope LogSigmoid LogSoftmax:axis
        MaxPool:pool_size,strides,padding,data_format Moments:axes,keepdims
        MultiHot:num_classes,axis,dtype
        Normalize:axis,order,epsilon
        OneHot:num_classes,axis,dtype
        PSNR:max_val
        Relu Relu6 RMSNorm:axis,epsilon
        Selu SeparableConv:strides,padding,data_format,dilation_rate Sigmoid Silu Softmax:axis Softplus
        SoftShrink:threshold Softsign SpaceToDepth:block_size,data_format
        SparseCategoricalCrossentropy:from_logits,axis Sparsemax:axis SparsePlus SparseSigmoid Squareplus:b
        TanhShrink Threshold:threshold,default_value
        Unfold:kernel_size,dilation,padding,stride
    """,
    "core": """
        Cast:dtype ConvertToTensor:dtype
        SaturateCast:dtype Scatter:shape ScatterUpdate:reduction Slice:shape SliceUpdate StopGradient
        Unstack:num,axis
    """,
    "math": """
        Erf Erfc Erfinv ExtractSequences:sequence_length,sequence_stride
        FFT FFT2
        IFFT2 InTopK:k IRFFT:fft_length ISTFT:sequence_length,sequence_stride,fft_length,length,window,center
        Logdet Logsumexp:axis,keepdims
        RFFT:fft_length Rsqrt
        SegmentMax:num_segments,sorted SegmentMin:num_segments,sorted SegmentProd:num_segments,sorted
        SegmentSum:num_segments,sorted STFT:sequence_length,sequence_stride,fft_length,window,center
        TopK:k,sorted
        ViewAsReal
    """,
    "linalg": """
        Cholesky:upper CholeskyInverse:upper
        Det
        Eigh
        Inv
        Lstsq:rcond LuFactor
        MatrixRank:tol
        Norm:ord,axis,keepdims
        Pinv:rcond
        Qr:mode
        Solve SolveTriangular:lower SVD:full_matrices,compute_uv
    """,
}
# Where the function's name is not the class's in snake case.
FUNCTIONS = {
    "HSVToRGB": "hsv_to_rgb",
    "PSNR": "psnr",
    "RGBToGrayscale": "rgb_to_grayscale",
    "RGBToHSV": "rgb_to_hsv",
    "SSIM": "ssim",
    "AllClose": "allclose",
    "BatchNorm": "batch_normalization",
    "IsIn": "isin",
    "LayerNorm": "layer_normalization",
    "RMSNorm": "rms_normalization",
    "SearchSorted": "searchsorted",
}
